using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Xml.Linq;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Which project may know which, and which one alone touches native code.</summary>
public sealed class ArchitectureTests
{
    private const string NativeProject = "Linux";

    /// <summary>Every project under src, its assembly, and the projects it may refer to.</summary>
    private static readonly Dictionary<string, (string Assembly, string[] MayReferTo)> Projects = new()
    {
        ["Config"] = ("Keepalive.Config", []),
        ["Linux"] = ("Keepalive.Linux", []),
        ["CommandLine"] = ("Keepalive.CommandLine", ["Config"]),
        ["Probes"] = ("Keepalive.Probes", ["Linux", "CommandLine"]),
        ["Agent"] = ("keepalive-agent", ["Config", "Linux", "CommandLine", "Probes"]),
        ["Simulator"] = ("keepalive-sim", ["Config", "Linux", "CommandLine", "Probes"]),
    };

    public static TheoryData<string> ProjectNames => [.. Projects.Keys];

    public static TheoryData<string> ProjectsWithoutNativeCode => [.. Projects.Keys.Where(name => name != NativeProject)];

    private static string Source => Path.Combine(Repository.Root, "src");

    [Fact]
    public void Projects_UnderSrc_AreTheOnesTheRulesName()
    {
        var found = Directory.GetFiles(Source, "*.csproj", SearchOption.AllDirectories).Select(file => Path.GetFileNameWithoutExtension(file));

        Assert.Equal(Projects.Keys.Order(), found.Order());
    }

    [Theory]
    [MemberData(nameof(ProjectNames))]
    public void Project_References_AreAllowed(string name)
    {
        var references = XDocument.Load(ProjectFile(name)).Descendants("ProjectReference")
            .Select(reference => Path.GetFileNameWithoutExtension(reference.Attribute("Include")!.Value));

        Assert.Empty(references.Except(Projects[name].MayReferTo));
    }

    [Theory]
    [MemberData(nameof(ProjectNames))]
    public void Assembly_References_AreAllowed(string name)
    {
        var allowed = Projects[name].MayReferTo.Select(other => Projects[other].Assembly);
        var ours = Projects.Values.Select(project => project.Assembly);

        Assert.Empty(ReferencesOf(AssemblyFile(name)).Intersect(ours).Except(allowed));
    }

    [Fact]
    public void ReferencesOf_ThisAssembly_NamesWhatItRefersTo() =>
        Assert.Contains("xunit.v3.assert", ReferencesOf(typeof(ArchitectureTests).Assembly.Location));

    [Theory]
    [MemberData(nameof(ProjectsWithoutNativeCode))]
    public void Sources_OutsideLinux_HaveNoNativeAccess(string name)
    {
        var found = SourceFiles(name).SelectMany(
            file => SourceText.NativeAccess(File.ReadAllText(file)).Select(word => $"{Path.GetRelativePath(Repository.Root, file)}: {word}"));

        Assert.Empty(found);
    }

    /// <summary>A process's name of its own choice, and JSON that is printed, have one way out each.</summary>
    [Theory]
    [InlineData("ProcFs.Command(", "ProcessName.cs")]
    [InlineData("UnsafeRelaxedJsonEscaping", "")]
    public void Sources_OfTheAgent_PrintForeignTextThroughOneDoor(string word, string only) =>
        Assert.All(SourceFiles("Agent").Where(file => File.ReadAllText(file).Contains(word, StringComparison.Ordinal)), file => Assert.Equal(only, Path.GetFileName(file)));

    [Fact]
    public void AllowUnsafeBlocks_StandsInOneProjectOnly()
    {
        var allowing = Directory.GetFiles(Repository.Root, "Directory.Build.*")
            .Concat(Directory.GetFiles(Source, "*.csproj", SearchOption.AllDirectories))
            .Concat(Directory.GetFiles(Source, "*.props", SearchOption.AllDirectories))
            .Where(file => !IsBuilt(file) && File.ReadAllText(file).Contains("AllowUnsafeBlocks", StringComparison.OrdinalIgnoreCase));

        Assert.Equal([ProjectFile(NativeProject)], allowing);
    }

    [Theory]
    [MemberData(nameof(ProjectsWithoutNativeCode))]
    public void Assembly_OutsideLinux_ImportsNothingNative(string name) => Assert.Equal(0, NativeImportsOf(AssemblyFile(name)));

    [Fact]
    public void NativeImportsOf_AnAssemblyThatHasSome_FindsThem() => Assert.NotEqual(0, NativeImportsOf(typeof(System.Diagnostics.Process).Assembly.Location));

    [Theory]
    [InlineData("[DllImport(\"libc\")] static extern int getpid();", "DllImport", "extern")]
    [InlineData("[System.Runtime.InteropServices.LibraryImportAttribute(\"libc\")] partial int getpid();", "LibraryImportAttribute")]
    [InlineData("public unsafe int Read(byte* at) => *at;", "unsafe")]
    [InlineData("delegate* unmanaged<int> call;", "delegate*")]
    [InlineData("int n = Marshal.GetLastPInvokeError();", "Marshal.")]
    [InlineData("ref byte b = ref Unsafe.NullRef<byte>();", "Unsafe.")]
    [InlineData("var p = NativeLibrary.Load(\"libpcap\");", "NativeLibrary.")]
    [InlineData("var s = \"a \\\" b\"; /* x */ unsafe { }", "unsafe")]
    [InlineData("var s = @\"a \"\" b\\\"; unsafe { }", "unsafe")]
    [InlineData("var s = \"\"; unsafe { }", "unsafe")]
    [InlineData("var s = $\"\"\"a \" b\"\"\"; unsafe { }", "unsafe")]
    [InlineData("var c = '\"'; unsafe { }", "unsafe")]
    [InlineData("// it's\nunsafe { }", "unsafe")]
    public void SourceText_NativeAccess_IsFound(string source, params string[] expected) => Assert.Equal(expected, SourceText.NativeAccess(source));

    [Theory]
    [InlineData("// unsafe code lives elsewhere")]
    [InlineData("/* DllImport\n unsafe */ class C;")]
    [InlineData("/// <summary>Not unsafe.</summary>\nclass C;")]
    [InlineData("var s = \"unsafe\";")]
    [InlineData("var s = @\"a \"\" unsafe\";")]
    [InlineData("var s = \"\"\"\n  \"unsafe\"\n  \"\"\";")]
    [InlineData("var s = $\"{x} unsafe\";")]
    [InlineData("var view = MemoryMarshal.AsBytes(span);")]
    [InlineData("bool unsafeToRetry = true; Span<byte> s = stackalloc byte[8];")]
    public void SourceText_EverythingElse_IsNot(string source) => Assert.Empty(SourceText.NativeAccess(source));

    private static string ProjectFile(string name) => Path.Combine(Source, name, name + ".csproj");

    private static string AssemblyFile(string name) =>
        Path.Combine(Source, name, "bin", Repository.Configuration, "net10.0", Projects[name].Assembly + ".dll");

    private static IEnumerable<string> SourceFiles(string name) =>
        Directory.GetFiles(Path.Combine(Source, name), "*.cs", SearchOption.AllDirectories).Where(file => !IsBuilt(file));

    private static bool IsBuilt(string file) => Path.GetRelativePath(Repository.Root, file).Split('/').Any(part => part is "bin" or "obj");

    private static IReadOnlyList<string> ReferencesOf(string assembly)
    {
        using var file = new PEReader(File.OpenRead(assembly));
        var metadata = file.GetMetadataReader();
        return [.. metadata.AssemblyReferences.Select(handle => metadata.GetString(metadata.GetAssemblyReference(handle).Name))];
    }

    // What the compiler made of it, whatever the source looked like.
    private static int NativeImportsOf(string assembly)
    {
        using var file = new PEReader(File.OpenRead(assembly));
        var metadata = file.GetMetadataReader();
        return metadata.MethodDefinitions.Count(handle => !metadata.GetMethodDefinition(handle).GetImport().Module.IsNil);
    }
}
