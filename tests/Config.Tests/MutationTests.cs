using System.Diagnostics;
using System.Text;
using Keepalive.Config.Balancers;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Rendering;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>Valid files after damage by an editor, a disk or a templating engine.</summary>
[Collection(nameof(TimedTests))]
public sealed class MutationTests(ITestOutputHelper output)
{
    private static readonly string[] s_fragments =
    [
        "\t", "\n", "---\n", "...\n", "- ", ": ", "{", "}", "[", "]", "\"", "'", "&a ", "*a", "!!int ", "? ", "|\n", "> ", "#",
        "%YAML 1.2\n", "<<: ", "\r",
        "\0", "\u0085", "\ufeff", "\ud800", "null", "~", "700", "1d", "99999999999999999999", "-", "\\", "@", "`", ",", "=",
        "{{ .Values.x }}",
    ];

    private static readonly int s_mutations = Fuzz.Cases(100_000);
    private static readonly int s_seed = Fuzz.Seed(20_240_501);

    // Several times the measured time: a reader that hangs, or a file that takes seconds, still fails.
    private static readonly TimeSpan s_inAll = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan s_forOne = TimeSpan.FromSeconds(5);

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void ReadCompileAndRender_MutatedFiles_NeverThrowAndStayBounded()
    {
        var sources = Directory.EnumerateFiles(CaseTests.Root(), "policy.yaml", SearchOption.AllDirectories)
            .Order(StringComparer.Ordinal).Select(File.ReadAllText).Where(text => text.Length > 0).ToArray();
        var watch = Stopwatch.StartNew();
        var (runs, valid, rendered, longest, peak) = (0, 0, 0, 0L, 0L);
        var gate = new Lock();
        var start = GC.GetTotalMemory(forceFullCollection: true);
        Parallel.For(0, 2, thread =>
        {
            var random = new Random(s_seed + thread);
            for (var i = 0; i < s_mutations / 2 && watch.Elapsed < s_inAll; i++)
            {
                var text = Mutate(sources[random.Next(sources.Length)], random);
                var begun = Stopwatch.GetTimestamp();
                var outcome = Check(text);
                lock (gate)
                {
                    runs++;
                    valid += outcome.IsValid ? 1 : 0;
                    rendered += outcome.IsRendered ? 1 : 0;
                    longest = Math.Max(longest, Stopwatch.GetElapsedTime(begun).Ticks);
                    peak = (i & 1023) == 0 ? Math.Max(peak, GC.GetTotalMemory(false) - start) : peak;
                }
            }
        });

        output.WriteLine($"{runs} mutations in {watch.ElapsedMilliseconds} ms, {valid} without errors, {rendered} rendered; the longest took "
            + $"{longest / TimeSpan.TicksPerMillisecond} ms, {peak >> 20} MiB at most");
        Assert.Equal(s_mutations, runs);
        Assert.InRange(longest, 1, s_forOne.Ticks);
        Assert.InRange(peak, long.MinValue, 200L << 20);

        // Both refused and accepted files occurred, and each was read to its end.
        Assert.InRange(valid, s_mutations / 50, s_mutations * 3 / 4);
        Assert.InRange(rendered, s_mutations / 200, valid);
    }

    private static (bool IsValid, bool IsRendered) Check(string text)
    {
        try
        {
            return CheckUnguarded(text);
        }
        catch (Exception exception) when (exception is not Xunit.Sdk.XunitException)
        {
            Assert.Fail($"{exception}\n--- for\n{text}");
            throw;
        }
    }

    private static (bool IsValid, bool IsRendered) CheckUnguarded(string text)
    {
        var read = PolicyReader.ReadText(text, "x");
        var lines = text.AsSpan().Count('\n') + text.AsSpan().Count('\r') + 2;
        foreach (var diagnostic in read.Diagnostics)
        {
            var (line, column) = (diagnostic.Position.Line, diagnostic.Position.Column);
            if (line < 1 || line > lines || column < 1 || column > text.Length + 2 || diagnostic.ToString().Contains('\n'))
            {
                Assert.Fail($"{diagnostic}\n--- for\n{text}");
            }
        }

        if (read.Resources.All.IsEmpty)
        {
            Assert.True(read.Diagnostics.Length > 0, text);
        }

        var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions());
        foreach (var rule in compiled.Policy.Rules)
        {
            if (rule.Settings is not
                {
                    Time: null or (>= 1 and <= KeepaliveSettings.MaxTime),
                    Interval: null or (>= 1 and <= KeepaliveSettings.MaxInterval),
                    Probes: null or (>= 1 and <= KeepaliveSettings.MaxProbes),
                })
            {
                Assert.Fail($"{rule}\n--- for\n{text}");
            }
        }

        if (read.HasErrors)
        {
            return (false, false);
        }

        BalancerCheck.Check(compiled, []);
        var (rendered, _) = DestinationRuleText.Write(compiled);
        if (rendered.Length > 0 && PolicyReader.ReadText(rendered, "rendered") is { HasErrors: true } again)
        {
            Assert.Fail($"{string.Join('\n', again.Diagnostics)}\n--- for\n{rendered}\n--- of\n{text}");
        }

        return (true, rendered.Length > 0);
    }

    private static string Mutate(string text, Random random)
    {
        var mutated = new StringBuilder(text);
        for (var count = random.Next(2) == 0 ? 1 : random.Next(2, 5); count > 0 && mutated.Length > 0; count--)
        {
            var at = random.Next(mutated.Length);
            switch (random.Next(6))
            {
                case 0:
                    mutated[at] = (char)random.Next(1, 256);
                    break;
                case 1:
                    mutated.Insert(at, s_fragments[random.Next(s_fragments.Length)]);
                    break;
                case 2:
                    mutated.Remove(at, Math.Min(random.Next(1, 20), mutated.Length - at));
                    break;
                case 3:
                    mutated.Insert(at, mutated.ToString(at, Math.Min(random.Next(1, 60), mutated.Length - at)));
                    break;
                case 4:
                    mutated.Length = at;
                    break;
                default:
                    mutated[at] = ' ';
                    break;
            }
        }

        return mutated.ToString();
    }
}
