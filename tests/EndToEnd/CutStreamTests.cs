using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Truncated input and wrong lengths, from files and from the programs' standard input.</summary>
public sealed class CutStreamTests(ITestOutputHelper output) : IDisposable
{
    private const uint Enhanced = 6;
    private const uint Simple = 3;
    private const uint Obsolete = 2;
    private const uint Custom = 0x0BAD;

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-cut").FullName;

    private static byte[] Pcap { get; } = Words(0xA1B2C3D4, 0x00040002, 0, 0, 262_144, 1);

    private static byte[] Section { get; } = Words(0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0xFFFFFFFF, 0xFFFFFFFF, 28);

    /// <summary>A section header and an Ethernet interface, 48 bytes.</summary>
    private static byte[] Begun { get; } = [.. Section, .. Words(1, 20, 1, 0, 20)];

    public static TheoryData<string, byte[], string> Captures => new()
    {
        { "empty", [], "the file is empty" },
        { "three bytes of pcapng", Section[..3], "the file ends after 3 bytes: it is no capture" },
        { "pcapng: section head cut", Section[..8], "byte 0: the file ends within the head of block 1" },
        { "pcapng: section cut", Section[..20], "byte 0: the file ends within block 1, which claims to be 28 bytes long" },
        { "pcapng: no byte-order magic", [.. Words(0x0A0D0D0A, 28), .. new byte[20]], "byte 8: block 1 begins a section without the byte-order magic" },
        { "pcapng: interface head cut", Begun[..34], "byte 28: the file ends within the head of block 2" },
        { "pcapng: interface cut", Begun[..40], "byte 28: the file ends within block 2, which claims to be 20 bytes long" },
        { "pcapng: packet head cut", [.. Begun, .. Words(Enhanced)], "byte 48: the file ends within the head of block 3" },
        { "pcapng: packet's numbers cut", [.. Begun, .. Words(Enhanced, 96, 0, 0)], "byte 48: the file ends within block 3, which claims to be 96 bytes long" },
        { "pcapng: packet cut", Packet(captured: 60, there: 20), "byte 48: the file ends within packet 1: 20 of its 60 captured bytes are there" },
        { "pcapng: trailer cut", [.. Packet(captured: 60, there: 60), 92, 0], "byte 48: the file ends within block 3, which claims to be 92 bytes long" },
        { "pcapng: 136 bytes, 200,000 captured", Packet(captured: 200_000, there: 60), "byte 48: the file ends within packet 1: 60 of its 200000 captured bytes are there" },
        { "pcapng: 131,072 captured, all but one there", Packet(captured: 131_072, there: 131_071), "byte 48: the file ends within packet 1: 131071 of its 131072 captured bytes are there" },
        { "pcapng: 300,000 captured, 299,000 there", Packet(captured: 300_000, there: 299_000), "byte 48: the file ends within packet 1: 299000 of its 300000 captured bytes are there" },
        { "pcapng: captured length -1", [.. Begun, .. Words(Enhanced, 96, 0, 0, 0, 0xFFFFFFFF, 60), .. new byte[60], .. Words(96)], "byte 48: packet 1 claims 4294967295 captured bytes in a block with room for 64" },
        { "pcapng: captured length and block beyond 2 GB", [.. Begun, .. Words(Enhanced, 0x80000020, 0, 0, 0, 0x80000000, 60), .. new byte[60]], "byte 48: the file ends within packet 1: 60 of its 2147483648 captured bytes are there" },
        { "pcapng: block length 0", [.. Begun, .. Words(Enhanced, 0, 0)], "byte 52: block 3 claims to be 0 bytes long" },
        { "pcapng: block length 0xfffffffc", [.. Begun, .. Words(Enhanced, 0xFFFFFFFC, 0, 0, 0, 0xFFFFFFF0, 60), .. new byte[60]], "byte 48: packet 1 claims 4294967280 captured bytes in a block with room for 4294967260" },
        { "pcapng: simple packet of 200,000 cut", [.. Begun, .. Words(Simple, 200_016, 200_000), .. new byte[60]], "byte 48: the file ends within packet 1: 60 of its 200000 captured bytes are there" },
        { "pcapng: obsolete packet of 200,000 cut", [.. Begun, .. Words(Obsolete, 200_032, 0, 0, 0, 200_000, 200_000), .. new byte[60]], "byte 48: the file ends within packet 1: 60 of its 200000 captured bytes are there" },
        { "pcapng: custom block of 2 GB cut", [.. Section, .. Words(Custom, 0x7FFFFFFC), .. new byte[60]], "byte 28: the file ends within block 2, which claims to be 2147483644 bytes long" },
        { "pcap: header cut", Pcap[..20], "the file ends after 20 bytes, within the file header of 24" },
        { "pcap: record header cut", [.. Pcap, .. Words(1, 0)], "byte 24: the file ends within the header of packet 1" },
        { "pcap: 200,000 captured, cut", [.. Pcap, .. Words(1, 0, 200_000, 200_000), .. new byte[60]], "byte 24: the file ends within packet 1: 60 of its 200000 captured bytes are there" },
        { "pcap: 300,000 captured, 299,000 there", [.. Pcap, .. Words(1, 0, 300_000, 300_000), .. new byte[299_000]], "byte 24: the file ends within packet 1: 299000 of its 300000 captured bytes are there" },
        { "pcap: captured length -1", [.. Pcap, .. Words(1, 0, 0xFFFFFFFF, 60), .. new byte[60]], "byte 32: packet 1 claims to have 4294967295 captured bytes" },
        { "pcap: 256 MiB captured, cut", [.. Pcap, .. Words(1, 0, 0x10000000, 60), .. new byte[60]], "byte 24: the file ends within packet 1: 60 of its 268435456 captured bytes are there" },
    };

    [Theory]
    [MemberData(nameof(Captures))]
    public void Probes_CutCapture_Exits1WithThePlace(string what, byte[] capture, string expected)
    {
        string file = Path.Combine(_directory, "capture");
        File.WriteAllBytes(file, capture);
        foreach (var (name, command) in new[] { ("standard input", $"cat {file} | {ProgramRun.AgentPath} probes -"), (file, $"{ProgramRun.AgentPath} probes {file}") })
        {
            var result = ProgramRun.ToEnd(["sh", "-c", command]);
            output.WriteLine($"{what}: exit {result.ExitCode}: {result.Error.TrimEnd().Replace(_directory + "/", "", StringComparison.Ordinal)}");

            Assert.Equal(1, result.ExitCode);
            Assert.StartsWith($"keepalive-agent: {name}: {expected}", result.Error, StringComparison.Ordinal);
            Assert.Single(result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        }
    }

    [Theory]
    [InlineData(1, "-:1:1: error KA001: it cannot be read: Is a directory", "{agent} check - < /tmp")]
    [InlineData(1, "-:1:1: error KA001: it cannot be read: Is a directory", "{agent} render - < /tmp")]
    [InlineData(1, "-:1:1: error KA001: it cannot be read: Is a directory", "{agent} explain - --to 10.0.0.1:443 < /tmp")]
    [InlineData(1, "-:1:1: error KA001: it cannot be read: Is a directory", "{sim} run - < /tmp")]
    [InlineData(1, "keepalive-sim: standard input is closed", "{sim} run - <&-")]
    [InlineData(1, "keepalive-sim: standard input is closed", "{sim} sweep - --set connections=1,2 <&-")]
    [InlineData(1, "-:2:15: error KA010: a { is not closed", "printf 'balancer: aws-nlb\nrequests: {arr' | {sim} run -")]
    [InlineData(1, "keepalive-agent: standard input: read standard input: EISDIR (Is a directory)", "{agent} probes - < /tmp")]
    [InlineData(1, "-:1:4: error KA003: the file is not UTF-8 text: byte 0xFF", "printf 'a: \\377' | {agent} check -")]
    [InlineData(1, "-:1:15: error KA010: a value is expected", "printf '{\"apiVersion\":' | {agent} check -")]
    [InlineData(1, "@/tmp:1:1: error KA001: there is no such file or directory", "{agent} check @/tmp")]
    [InlineData(1, "@/nowhere: there is no such file", "{agent} probes @/nowhere")]
    public void Input_ThatCannotBeRead_IsNamed(int code, string expected, string command)
    {
        var result = ProgramRun.ToEnd(["bash", "-c",
            command.Replace("{agent}", ProgramRun.AgentPath, StringComparison.Ordinal).Replace("{sim}", ProgramRun.SimulatorPath, StringComparison.Ordinal)]);

        Assert.Equal(code, result.ExitCode);
        Assert.Contains(expected, result.Output + result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Unhandled", result.Error, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>A pcapng file that ends within its first packet.</summary>
    private static byte[] Packet(uint captured, int there) =>
        [.. Begun, .. Words(Enhanced, ((captured + 3) & ~3u) + 32, 0, 0, 0, captured, captured), .. new byte[there]];

    private static byte[] Words(params uint[] words) => [.. words.SelectMany(BitConverter.GetBytes)];
}
