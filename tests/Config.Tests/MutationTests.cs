using System.Diagnostics;
using System.Text;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>Files that were right until someone's editor, disk or templating engine got at them.</summary>
[Collection(nameof(TimedTests))]
public sealed class MutationTests(ITestOutputHelper output)
{
    private static readonly string[] Fragments =
    [
        "\t", "\n", "---\n", "...\n", "- ", ": ", "{", "}", "[", "]", "\"", "'", "&a ", "*a", "!!int ", "? ", "|\n", "> ", "#",
        "%YAML 1.2\n", "<<: ", "\r",
        "\0", "\u0085", "\ufeff", "\ud800", "null", "~", "700", "1d", "99999999999999999999", "-", "\\", "@", "`", ",", "=",
        "{{ .Values.x }}",
    ];

    [Fact]
    public void ReadAndCompile_MutatedFiles_NeverThrow()
    {
        var sources = Directory.EnumerateFiles(CaseTests.Root(), "policy.yaml", SearchOption.AllDirectories)
            .Order(StringComparer.Ordinal).Select(File.ReadAllText).Where(text => text.Length > 0).ToArray();
        var random = new Random(20240501);
        var watch = Stopwatch.StartNew();
        var runs = 0;
        for (; runs < 20_000 && watch.Elapsed < TimeSpan.FromSeconds(15); runs++)
        {
            var text = Mutate(sources[random.Next(sources.Length)], random);
            try
            {
                Check(text);
            }
            catch (Exception exception) when (exception is not Xunit.Sdk.XunitException)
            {
                Assert.Fail($"{exception}\n--- for\n{text}");
            }
        }

        output.WriteLine($"{runs} mutations in {watch.ElapsedMilliseconds} ms");
        Assert.True(runs >= 300, $"only {runs} runs in {watch.Elapsed}");
    }

    private static void Check(string text)
    {
        var read = PolicyReader.ReadText(text, "x");
        var lines = text.Split('\n', '\r').Length + 1;
        Assert.All(read.Diagnostics, diagnostic =>
        {
            Assert.InRange(diagnostic.Position.Line, 1, lines);
            Assert.InRange(diagnostic.Position.Column, 1, text.Length + 2);
            Assert.DoesNotContain('\n', diagnostic.ToString());
        });
        if (read.Resources.All.IsEmpty)
        {
            Assert.True(read.Diagnostics.Length > 0, text);
        }

        var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions());
        Assert.All(compiled.Policy.Rules, rule => Assert.True(rule.Settings is
        {
            Time: null or (>= 1 and <= KeepaliveSettings.MaxTime),
            Interval: null or (>= 1 and <= KeepaliveSettings.MaxInterval),
            Probes: null or (>= 1 and <= KeepaliveSettings.MaxProbes),
        }));
    }

    private static string Mutate(string text, Random random)
    {
        var mutated = new StringBuilder(text);
        for (var count = random.Next(1, 5); count > 0 && mutated.Length > 0; count--)
        {
            var at = random.Next(mutated.Length);
            switch (random.Next(6))
            {
                case 0:
                    mutated[at] = (char)random.Next(1, 256);
                    break;
                case 1:
                    mutated.Insert(at, Fragments[random.Next(Fragments.Length)]);
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
