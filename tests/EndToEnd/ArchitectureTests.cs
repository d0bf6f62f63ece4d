using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Security;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Xml.Linq;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The allowed references between projects, and the one project with native code.</summary>
public sealed class ArchitectureTests
{
    private const string NativeProject = "Linux";

    /// <summary>Every project under src, its assembly, and its allowed references.</summary>
    private static readonly Dictionary<string, (string Assembly, string[] MayReferTo)> s_projects = new()
    {
        ["Config"] = ("Keepalive.Config", []),
        ["Linux"] = ("Keepalive.Linux", []),
        ["CommandLine"] = ("Keepalive.CommandLine", ["Config"]),
        ["Probes"] = ("Keepalive.Probes", ["Linux", "CommandLine"]),
        ["Agent"] = ("keepalive-agent", ["Config", "Linux", "CommandLine", "Probes"]),
        ["Simulator"] = ("keepalive-sim", ["Config", "Linux", "CommandLine", "Probes"]),
    };

    /// <summary>Runtime assemblies that contain the banned symbols.</summary>
    private static readonly Assembly[] s_bannedFrom =
    [
        typeof(object).Assembly, typeof(JavaScriptEncoder).Assembly, typeof(Console).Assembly, typeof(Process).Assembly, typeof(Dns).Assembly, typeof(Socket).Assembly, typeof(HttpClient).Assembly,
    ];

    public static TheoryData<string> ProjectNames => [.. s_projects.Keys];

    public static TheoryData<string> ProjectsWithoutNativeCode => [.. s_projects.Keys.Where(name => name != NativeProject)];

    public static TheoryData<string> BannedSymbols =>
    [
        .. Directory.GetFiles(Source, "BannedSymbols.*.txt", SearchOption.AllDirectories).Where(file => !IsBuilt(file)).SelectMany(File.ReadLines)
            .Where(line => !line.StartsWith("//", StringComparison.Ordinal)).Select(line => line.Split(';')[0]),
    ];

    private static string Source => Path.Combine(Repository.Root, "src");

    [Fact]
    public void Projects_UnderSrc_AreTheOnesTheRulesName()
    {
        var found = Directory.GetFiles(Source, "*.csproj", SearchOption.AllDirectories).Select(file => Path.GetFileNameWithoutExtension(file));

        Assert.Equal(s_projects.Keys.Order(), found.Order());
    }

    [Theory]
    [MemberData(nameof(ProjectNames))]
    public void Project_References_AreAllowed(string name)
    {
        var references = XDocument.Load(ProjectFile(name)).Descendants("ProjectReference")
            .Select(reference => Path.GetFileNameWithoutExtension(reference.Attribute("Include")!.Value));

        Assert.Empty(references.Except(s_projects[name].MayReferTo));
    }

    [Theory]
    [MemberData(nameof(ProjectNames))]
    public void Assembly_References_AreAllowed(string name)
    {
        var allowed = s_projects[name].MayReferTo.Select(other => s_projects[other].Assembly);
        var ours = s_projects.Values.Select(project => project.Assembly);

        Assert.Empty(ReferencesOf(AssemblyFile(name)).Intersect(ours).Except(allowed));
    }

    [Fact]
    public void ReferencesOf_ThisAssembly_NamesWhatItRefersTo() =>
        Assert.Contains("xunit.v3.assert", ReferencesOf(typeof(ArchitectureTests).Assembly.Location));

    /// <summary>A name means one thing in both programs: a search finds one type, not two in different namespaces.</summary>
    [Fact]
    public void Types_OfAllProjects_HaveNamesOfTheirOwn()
    {
        var names = s_projects.Keys.SelectMany(name => TypesOf(AssemblyFile(name))).ToList();

        Assert.Contains("BalancerRule", names);
        Assert.Empty(names.GroupBy(name => name).Where(group => group.Count() > 1).Select(group => group.Key));
    }

    /// <summary>The compiler marks a module that was compiled with AllowUnsafeBlocks, whether or not the code needs it.</summary>
    [Theory]
    [MemberData(nameof(ProjectNames))]
    public void Assembly_UnsafeCode_IsAllowedInLinuxOnly(string name) => Assert.Equal(name == NativeProject, AllowsUnsafeCode(AssemblyFile(name)));

    [Theory]
    [MemberData(nameof(ProjectsWithoutNativeCode))]
    public void Assembly_OutsideLinux_ImportsNothingNative(string name) => Assert.Equal(0, NativeImportsOf(AssemblyFile(name)));

    [Fact]
    public void NativeImportsOf_AnAssemblyThatHasSome_FindsThem() => Assert.NotEqual(0, NativeImportsOf(typeof(Process).Assembly.Location));

    /// <summary>The arguments of the compiler, from all sources.</summary>
    [Theory]
    [InlineData("src/BannedSymbols.Native.txt", "Config", "CommandLine", "Probes", "Agent", "Simulator")]
    [InlineData("src/BannedSymbols.Printing.txt", "Agent", "Simulator")]
    [InlineData("src/Config/BannedSymbols.Pure.txt", "Config")]
    public void BannedSymbols_Lists_GoToTheCompilerWithTheAnalyzer(string list, params string[] projects)
    {
        foreach (var name in projects)
        {
            var items = JsonDocument.Parse(Command.Run(
                "dotnet", "msbuild", ProjectFile(name), $"-p:Configuration={Repository.Configuration}", "-getItem:AdditionalFiles,PackageReference", "-getProperty:NoWarn").Output).RootElement;

            Assert.Contains(Path.Combine(Repository.Root, list), Values("AdditionalFiles", "FullPath"));
            Assert.Contains("Microsoft.CodeAnalysis.BannedApiAnalyzers", Values("PackageReference", "Identity"));
            Assert.DoesNotContain("RS0030", items.GetProperty("Properties").GetProperty("NoWarn").GetString(), StringComparison.Ordinal);

            IEnumerable<string?> Values(string item, string metadata) =>
                items.GetProperty("Items").GetProperty(item).EnumerateArray().Select(found => found.GetProperty(metadata).GetString());
        }
    }

    /// <summary>The analyzer ignores a line that matches no symbol.</summary>
    [Theory]
    [MemberData(nameof(BannedSymbols))]
    public void BannedSymbols_EachLine_NamesSomething(string symbol)
    {
        var name = symbol[2..].Split('(')[0];
        var (type, member) = symbol[0] == 'T' ? (name, null) : (name[..name.LastIndexOf('.')], name[(name.LastIndexOf('.') + 1)..].Split('`')[0]);
        var found = s_bannedFrom.Select(assembly => assembly.GetType(type)).FirstOrDefault(found => found is { IsPublic: true });

        Assert.True(found is not null && (member is null || found.GetMember(member).Length > 0), symbol);
    }

    private static string ProjectFile(string name) => Path.Combine(Source, name, name + ".csproj");

    private static string AssemblyFile(string name) =>
        Path.Combine(Source, name, "bin", Repository.Configuration, "net10.0", s_projects[name].Assembly + ".dll");

    private static bool IsBuilt(string file) => Path.GetRelativePath(Repository.Root, file).Split('/').Any(part => part is "bin" or "obj");

    private static IReadOnlyList<string> ReferencesOf(string assembly)
    {
        using var file = new PEReader(File.OpenRead(assembly));
        var metadata = file.GetMetadataReader();
        return [.. metadata.AssemblyReferences.Select(handle => metadata.GetString(metadata.GetAssemblyReference(handle).Name))];
    }

    private static IReadOnlyList<string> TypesOf(string assembly)
    {
        using var file = new PEReader(File.OpenRead(assembly));
        var metadata = file.GetMetadataReader();
        return
        [
            .. metadata.TypeDefinitions.Select(metadata.GetTypeDefinition)
                .Where(type => !type.IsNested && metadata.GetString(type.Namespace).StartsWith("Keepalive.", StringComparison.Ordinal))
                .Select(type => metadata.GetString(type.Name)),
        ];
    }

    private static bool AllowsUnsafeCode(string assembly)
    {
        using var file = new PEReader(File.OpenRead(assembly));
        var metadata = file.GetMetadataReader();
        return metadata.GetModuleDefinition().GetCustomAttributes().Any(handle =>
            metadata.GetCustomAttribute(handle).Constructor is { Kind: HandleKind.MemberReference } constructor
            && metadata.GetMemberReference((MemberReferenceHandle)constructor).Parent is { Kind: HandleKind.TypeReference } type
            && metadata.GetString(metadata.GetTypeReference((TypeReferenceHandle)type).Name) == nameof(UnverifiableCodeAttribute));
    }

    // The compiled code, independent of the form of the source.
    private static int NativeImportsOf(string assembly)
    {
        using var file = new PEReader(File.OpenRead(assembly));
        var metadata = file.GetMetadataReader();
        return metadata.MethodDefinitions.Count(handle => !metadata.GetMethodDefinition(handle).GetImport().Module.IsNil);
    }
}
