using System.Text;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>Hostile input: it ends in a diagnostic, within seconds and bounded memory.</summary>
/// <remarks>The bounds are several times the measured values, so that a busy machine passes. A quadratic reader does not pass.</remarks>
[Collection(nameof(TimedTests))]
public sealed class HostileInputTests(ITestOutputHelper output)
{
    private const int Large = 16 * 1024 * 1024 - 64;

    public static TheoryData<string, string, string> Repeated => new()
    {
        { "brackets", "[", "KA015" },
        { "braces", "{", "KA015" },
        { "dashes", "- ", "KA015" },
        { "question marks", "? ", "KA015" },
        { "anchors", "&a ", "KA010" },
        { "aliases", "*a ", "KA010" },
        { "colons", "a: ", "KA010" },
        { "tags", "!", "KA013" },
        { "quotes", "'", "KA020" },
        { "one scalar", "x", "KA020" },
        { "words", "a ", "KA020" },
        { "lines", "a\n", "KA020" },
        { "list", "- a\n", "KA002" },
        { "list of lists", "- [[[[]]]]\n", "KA002" },
        { "flow keys", "{a: 1}\n", "KA010" },
        { "empty documents", "---\n", "KA004" },
        { "documents", "---\na\n", "KA005" },
        { "documents with an error", "---\n}\n", "KA005" },
        { "document ends", "...\n", "KA004" },
        { "comments", "#\n", "KA004" },
        { "blank lines", "\n", "KA004" },
        { "carriage returns", "\r", "KA004" },
        { "spaces", " ", "KA004" },
        { "tabs", "\t", "KA004" },
        { "directives", "%YAML 1.2\n", "KA004" },
        { "byte order marks", "\ufeff", "KA0" },
        { "NUL bytes", "\0", "KA003" },
        { "skipped kinds", "---\napiVersion: v1\nkind: Pod\n", "KA002" },
        { "nameless policies", "---\napiVersion: resilience.policy.gloo.solo.io/v2\nkind: ConnectionPolicy\n", "KA005" },
    };

    [Theory]
    [MemberData(nameof(Repeated))]
    public void Read_SixteenMegabytesOfOneThing_EndsInADiagnostic(string what, string unit, string code)
    {
        var text = new StringBuilder(Large + unit.Length);
        while (text.Length < Large)
        {
            text.Append(unit);
        }

        AssertBounded(what, text.ToString(), code);
    }

    public static TheoryData<string, string> Shapes => new() { { "laughs", "KA016" }, { "wide flow", "KA002" }, { "many keys", "KA002" },
        { "long key", "KA010" }, { "escapes", "KA020" }, { "literal", "KA020" }, { "folded", "KA020" }, { "indentation", "KA015" },
        { "merges", "KA020" }, { "deep aliases", "KA015" }, { "colliding spellings", "KA023" }, { "long annotation", "KA028" } };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Read_InputOfABadShape_EndsInADiagnostic(string shape, string code) => AssertBounded(shape, Shape(shape), code);

    [Fact]
    public void Compile_PoliciesThatMultiply_RefusesInBoundedTime()
    {
        var text = new StringBuilder();
        for (var i = 0; i < 3_000; i++)
        {
            text.Append("---\n{apiVersion: resilience.policy.gloo.solo.io/v2, kind: ConnectionPolicy, metadata: {name: p").Append(i)
                .Append("}, spec: {config: {tcp: {tcpKeepalive: {}}}}}\n---\n")
                .Append("{apiVersion: networking.gloo.solo.io/v2, kind: ExternalService, metadata: {name: e").Append(i).Append("}, spec: {addresses: [10.0.0.1]}}\n");
        }

        AssertCompilesBounded("policies times destinations", text.ToString());
    }

    [Fact]
    public void Compile_AddressesTimesPorts_RefusesInBoundedTime()
    {
        var text = new StringBuilder("{apiVersion: resilience.policy.gloo.solo.io/v2, kind: ConnectionPolicy, metadata: {name: p}, "
            + "spec: {config: {tcp: {tcpKeepalive: {}}}}}\n"
            + "---\n{apiVersion: networking.gloo.solo.io/v2, kind: ExternalService, metadata: {name: e}, spec: {addresses: [10.0.0.0");
        for (var i = 1; i < 50_000; i++)
        {
            text.Append(", 10.").Append(i >> 16).Append('.').Append((i >> 8) & 255).Append('.').Append(i & 255);
        }

        text.Append("], ports: [{number: 1}");
        for (var i = 2; i < 50_000; i++)
        {
            text.Append(", {number: ").Append(i).Append('}');
        }

        AssertCompilesBounded("addresses times ports", text.Append("]}}").ToString());
    }

    private void AssertCompilesBounded(string what, string text)
    {
        var begun = ThreadClock.Now;
        var read = PolicyReader.ReadText(text, "x");
        Assert.False(read.HasErrors, string.Join('\n', read.Diagnostics.Take(3)));
        var before = GC.GetTotalAllocatedBytes();
        var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions());
        var took = ThreadClock.Now - begun;
        output.WriteLine($"{what}: {took.TotalMilliseconds:F0} ms, {(GC.GetTotalAllocatedBytes() - before) >> 20} MiB allocated compiling");
        Assert.Contains(compiled.Diagnostics, diagnostic => diagnostic.Code == "KA050");
        Assert.Empty(compiled.Policy.Rules);
        Assert.InRange(took, TimeSpan.Zero, TimeSpan.FromSeconds(20));
    }

    private void AssertBounded(string what, string text, string code)
    {
        var peak = 0L;
        using var stop = new ManualResetEventSlim();
        var sampler = new Thread(() =>
        {
            while (!stop.Wait(10))
            {
                peak = Math.Max(peak, GC.GetTotalMemory(false));
            }
        });
        GC.Collect();
        var start = GC.GetTotalMemory(true);
        sampler.Start();
        var begun = ThreadClock.Now;
        var result = PolicyReader.ReadText(text, "x");
        var took = ThreadClock.Now - begun;
        stop.Set();
        sampler.Join();
        output.WriteLine($"{what}: {took.TotalMilliseconds:F0} ms, {(peak - start) >> 20} MiB, "
            + $"{result.Diagnostics.Length} diagnostics: {result.Diagnostics[^1]}");
        Assert.Contains(result.Diagnostics, diagnostic => diagnostic.Code.StartsWith(code, StringComparison.Ordinal));
        Assert.True(result.HasErrors);
        Assert.InRange(result.Diagnostics.Length, 1, 3001);
        Assert.All(result.Diagnostics, diagnostic => Assert.InRange(diagnostic.ToString().Length, 10, 600));
        Assert.InRange(took, TimeSpan.Zero, TimeSpan.FromSeconds(15));
        Assert.InRange(peak - start, long.MinValue, 400L << 20);
    }

    private static string Repeat(string unit, int length) =>
        new StringBuilder(length + unit.Length).Insert(0, unit, length / unit.Length).ToString();

    private static string Shape(string shape)
    {
        switch (shape)
        {
            case "laughs":
                var laughs = new StringBuilder("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
                for (var i = 1; i < 30; i++)
                {
                    laughs.Append($"a{i}: &a{i} [").AppendJoin(", ", Enumerable.Repeat($"*a{i - 1}", 9)).Append("]\n");
                }

                return laughs.ToString();
            case "merges":
                var merges = new StringBuilder("a0: &a0 {k: 1, l: 2}\n");
                for (var i = 1; i < 40; i++)
                {
                    merges.Append($"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}, *a{i - 1}], k{i}: 1}}\n");
                }

                return merges.ToString();
            case "deep aliases":
                var deep = new StringBuilder("a0: &a0 []\n");
                for (var i = 1; i < 1000; i++)
                {
                    deep.Append($"a{i}: &a{i} [*a{i - 1}]\n");
                }

                return deep.ToString();
            case "wide flow":
                return "[" + Repeat("a,", Large) + "]";
            case "many keys":
                return "{" + string.Join(", ", Enumerable.Range(0, 1_000_000).Select(i => $"k{i}: 1")) + "}";
            case "long key":
                return Repeat("k", Large) + ": 1";
            case "escapes":
                return "\"" + Repeat("\\u0041", Large) + "\"";
            case "literal":
                return "--- |\n" + Repeat(" x\n", Large);
            case "folded":
                return "--- >\n" + Repeat(" x\n\n", Large);
            case "indentation":
                return string.Concat(Enumerable.Range(0, 4000).Select(i => new string(' ', i) + "a:\n"));
            case "colliding spellings":
                return "apiVersion: networking.gloo.solo.io/v2\nkind: ExternalService\nmetadata: {name: a}\nspec:\n"
                    + string.Concat(Enumerable.Range(0, 200_000).Select(i => $"  addresse{i}: 1\n"));
            case "long annotation":
                return "apiVersion: networking.gloo.solo.io/v2\nkind: ExternalService\nspec: {}\n"
                    + "metadata:\n  name: a\n  annotations:\n    keepalive-agent/addresses: \"" + Repeat("1.2.3.4:x, ", Large - 1000) + "\"\n";
            default:
                throw new ArgumentOutOfRangeException(nameof(shape));
        }
    }
}
