using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>The C compiler compares the mirror with Bpf/keepalive.h.</summary>
public sealed class BpfAbiTests
{
    [Fact]
    public void Mirror_AgainstTheHeader_Agrees()
    {
        var constants = typeof(BpfAbi).GetFields().Where(f => f.IsLiteral)
            .Select(f => $"{f.Name} == {Convert.ToInt64(f.GetRawConstantValue(), CultureInfo.InvariantCulture)}").ToList();
        Assert.NotEmpty(constants);
        Assert.Equal("", Compile(constants.Concat(Structs().SelectMany(Layout))));
    }

    [Fact]
    public void Mirror_EveryStructOfTheHeader_IsInIt()
    {
        var header = File.ReadAllText(Path.Combine(Header, "keepalive.h"));
        var structs = System.Text.RegularExpressions.Regex.Matches(header, @"^struct (ka_\w+) \{", System.Text.RegularExpressions.RegexOptions.Multiline)
            .Select(match => match.Groups[1].Value);
        // Only the kernel's programs read the kernel's storage of a socket.
        Assert.Equal(structs.Except(["ka_memory"]).Order(), Structs().Select(type => type.Name).Order());
    }

    [Fact]
    public void Compile_WrongAssertion_IsReported() =>
        Assert.Contains("KA_ON == 2", Compile(["KA_ON == 2"]), StringComparison.Ordinal);

    private static string Header => Path.Combine(Repository.Root, "src", "Agent", "Bpf");

    private static IEnumerable<Type> Structs() =>
        typeof(BpfAbi).GetNestedTypes(BindingFlags.NonPublic).Where(type => !type.IsDefined(typeof(InlineArrayAttribute)));

    private static IEnumerable<string> Layout(Type mirror)
    {
        yield return $"sizeof(struct {mirror.Name}) == {Marshal.SizeOf(mirror)}";
        foreach (var field in mirror.GetFields())
        {
            yield return $"offsetof(struct {mirror.Name}, {field.Name}) == {Marshal.OffsetOf(mirror, field.Name)}";
            yield return $"sizeof(((struct {mirror.Name} *)0)->{field.Name}) == {Marshal.SizeOf(field.FieldType)}";
        }
    }

    private static string Compile(IEnumerable<string> assertions)
    {
        Live.Require();
        var source = new StringBuilder("#include <stddef.h>\n#include \"keepalive.h\"\n");
        foreach (var assertion in assertions)
        {
            source.Append(CultureInfo.InvariantCulture, $"_Static_assert({assertion}, \"{assertion}\");\n");
        }
        var directory = Directory.CreateTempSubdirectory("keepalive-abi");
        try
        {
            var file = Path.Combine(directory.FullName, "abi.c");
            File.WriteAllText(file, source.ToString());
            var result = Command.Try(["cc", "-std=c11", "-fsyntax-only", "-I", Header, file]);
            return result.ExitCode == 0 ? "" : result.Error;
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }
}
