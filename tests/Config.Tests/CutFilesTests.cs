using System.Text;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>Truncated files and streams.</summary>
public sealed class CutFilesTests
{
    private const string Input = "-";

    /// <summary>Of the longest files only some prefixes are read: all hundred thousand would take a minute.</summary>
    private static readonly int s_longest = Fuzz.Cases(12, usually: 3);
    private static readonly int s_step = 1 + (int)Math.Round(6.0 * 12 / s_longest);

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Read_PrefixesOfEveryCase_HaveAPlaceAndNeverThrow()
    {
        byte[][] files = [.. Directory.EnumerateFiles(CaseTests.Root(), "policy.yaml", SearchOption.AllDirectories).Select(File.ReadAllBytes).OrderByDescending(file => file.Length)];
        Assert.InRange(files.Length, 100, int.MaxValue);
        var (cuts, refused) = (0, 0);
        Parallel.For(0, files.Length, i =>
        {
            var file = files[i];
            for (var length = i < s_longest ? 0 : i % s_step; length <= file.Length; length += i < s_longest ? 1 : s_step)
            {
                Interlocked.Increment(ref cuts);
                var read = Read(new MemoryStream(file, 0, length));
                PolicyCompiler.Compile(read.Resources, new CompilerOptions());

                // A result without resources has a diagnostic.
                Assert.True(read.Diagnostics.Length > 0 || read.Resources.All.Length > 0, $"{length} bytes of\n{Encoding.UTF8.GetString(file)}");
                var lines = file.AsSpan(0, length).Count((byte)'\n') + file.AsSpan(0, length).Count((byte)'\r') + 1;
                Assert.All(read.Diagnostics, diagnostic => Assert.True(
                    diagnostic.Position.File == Input && diagnostic.Position.Line >= 1 && diagnostic.Position.Line <= lines && diagnostic.Position.Column >= 1, diagnostic.ToString()));
                Interlocked.Add(ref refused, read.Diagnostics.Any(diagnostic => diagnostic.Severity == Severity.Error) ? 1 : 0);
            }
        });

        Assert.InRange(cuts, Fuzz.Cases(20_000, usually: 5_000), 200_000);
        Assert.InRange(refused, cuts / 4, cuts);
    }

    [Theory]
    [InlineData(new byte[] { (byte)'a', (byte)':', (byte)' ', 0xE2, 0x82 }, "-:1:4: error KA003: the file is not UTF-8 text: byte 0xE2 is not valid here")]
    [InlineData(new byte[] { 0xFF, 0xFE, (byte)'a', 0 }, "-:1:1: error KA003: the file is UTF-16")]
    [InlineData(new byte[] { (byte)'a', (byte)'\n', 0, 0xFF }, "-:2:1: error KA003: the file is not text: it holds the control character U+0000")]
    [InlineData(new byte[0], "-:1:1: error KA004: ")]
    public void Read_BinaryStandardInput_IsRefusedLikeAFile(byte[] bytes, string expected)
    {
        var diagnostic = Assert.Single(Read(new MemoryStream(bytes)).Diagnostics);

        Assert.StartsWith(expected, diagnostic.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Read_StandardInputWithByteOrderMark_IsReadLikeAFile()
    {
        var text = File.ReadAllText(Path.Combine(CaseTests.Root(), "guide-policy", "policy.yaml"));

        Assert.Equal(
            Read(new MemoryStream(Encoding.UTF8.GetBytes(text))).Resources.All.Length,
            Read(new MemoryStream([0xEF, 0xBB, 0xBF, .. Encoding.UTF8.GetBytes(text)])).Resources.All.Length);
    }

    [Fact]
    public void Read_EndlessStandardInput_IsRefusedForItsSize()
    {
        var endless = new Endless();
        var diagnostic = Assert.Single(Read(endless).Diagnostics);

        Assert.Equal($"{Input}:1:1: error KA002: the text is larger than 16 MiB; split it", diagnostic.ToString());
        Assert.InRange(endless.Taken, InputLimits.FileBytes, InputLimits.FileBytes + (1024 * 1024));
    }

    [Fact]
    public void Read_StandardInputThatFails_IsAnError()
    {
        var diagnostic = Assert.Single(Read(new Endless { Failure = new IOException("Is a directory") }).Diagnostics);

        Assert.Equal($"{Input}:1:1: error KA001: it cannot be read: Is a directory; give it a file or a pipe", diagnostic.ToString());
    }

    private static ReadResult Read(Stream input) => PolicyReader.Read(["-"], input);

    /// <summary>Endless comments.</summary>
    private sealed class Endless : MemoryStream
    {
        public long Taken { get; private set; }

        public Exception? Failure { get; init; }

        public override int Read(byte[] buffer, int offset, int count)
        {
            if (Failure is not null)
            {
                throw Failure;
            }
            buffer.AsSpan(offset, count).Fill((byte)'#');
            Taken += count;
            return count;
        }
    }
}
