using System.Text;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Reports;
using Keepalive.Probes.Tests.Capture;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Probes.Tests.Classify;

/// <summary>The short ways for probes and replies of idle connections, which leave out what cannot matter then, beside the way that every other segment takes.</summary>
/// <remarks>A segment with the flag ECE never takes a short way, and the flag means nothing to the classifier.</remarks>
public sealed class IdleConnectionsTests
{
    private const int Segments = 80;

    private static readonly int s_connections = Fuzz.Cases(20_000, usually: 1_500);
    private static readonly int s_seed = Fuzz.Seed(20_262);

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Classify_ConnectionsAboutToBeIdle_AsWithAFlagThatMeansNothing()
    {
        var replies = 0L;
        for (var i = 0; i < s_connections; i++)
        {
            var packets = Connection(new Random(unchecked(s_seed + i)));
            var (found, answered) = Report(packets, 0);
            var (expected, _) = Report(packets, TcpFlags.Ece);

            Assert.True(expected == found, $"connection {i} of seed {s_seed}, without the flag:\n{found}\nand with it:\n{expected}");
            replies += answered;
        }

        // Most are what they are about: idle, with probes and replies.
        Assert.InRange(replies, 12L * s_connections, long.MaxValue);
    }

    /// <summary>Segments of a connection: mostly probes and replies, and whatever can make them something else.</summary>
    private static List<(byte[] Frame, long Time)> Connection(Random random)
    {
        var packets = new List<(byte[], long)>();
        uint[] next = [unchecked((uint)random.Next(-200, 200)), (uint)random.Next()];
        ushort[] identification = [(ushort)random.Next(3), 1000];
        var timestamp = random.Next(2) == 0 ? 0u : 1_000u;
        var time = 1_700_000_000_000_000_000;
        var isPlain = random.Next(3) > 0;
        var isTranslated = random.Next(6) == 0;
        for (var i = 0; i < Segments; i++)
        {
            // A reply follows a probe as it does in most captures.
            var end = i % 4 < 2 ? i % 2 : random.Next(2);
            var (sequence, acknowledged, flags, length, window) = (next[end], next[1 - end], TcpFlags.Ack, 0, (ushort)500);
            var what = isPlain && i > 4 && random.Next(10) > 0 ? random.Next(70) : random.Next(110);
            switch (what)
            {
                case < 35:
                    sequence -= i % 2 == 0 ? 1u : 0u;
                    break;
                case < 70:
                    sequence -= (uint)random.Next(2);
                    break;
                case < 75:
                    (flags, length) = (flags | TcpFlags.Psh, random.Next(2) == 0 ? 1 : 100);
                    next[end] += (uint)length;
                    break;
                case < 79:
                    next[end] += (uint)random.Next(1, 200);   // not captured
                    break;
                case < 83:
                    (sequence, length) = (sequence - 1, 1);
                    break;
                case < 88:
                    window = 0;
                    break;
                case < 91:
                    flags = random.Next(2) == 0 ? TcpFlags.Rst : TcpFlags.Rst | TcpFlags.Ack;
                    sequence += random.Next(2) == 0 ? 0 : (uint)random.Next(200);
                    break;
                case < 93:
                    flags |= TcpFlags.Fin;
                    next[end] += (uint)random.Next(2);
                    break;
                case < 97:
                    flags = end == 0 ? TcpFlags.Syn : TcpFlags.Syn | TcpFlags.Ack;
                    next[end] += (uint)random.Next(2);
                    break;
                default:
                    sequence += (uint)random.Next(-3, 4);
                    acknowledged += (uint)random.Next(-3, 4);
                    break;
            }
            identification[end] += (ushort)(random.Next(8) > 0 ? 1 : 0);
            timestamp += timestamp > 0 && random.Next(8) > 0 ? 1u : 0;
            time += random.Next(12) switch { 0 => 75_000_000_000, 1 => 11_000_000_000, < 6 => 1_000_000_000, 6 => -1_000_000_000, 7 => 0, _ => 50_000 };
            var frame = new Frame
            {
                Source = end == 0 ? "10.0.0.1:40000" : "10.0.0.2:443",
                Destination = end == 0 ? "10.0.0.2:443" : "10.0.0.1:40000",
                Sequence = sequence,
                Acknowledged = (flags & TcpFlags.Ack) == 0 ? 0 : acknowledged,
                Flags = flags,
                Payload = new byte[length],
                Window = window,
                Timestamp = timestamp,
                Identification = identification[end],
                HopLimit = (byte)(random.Next(10) == 0 ? 63 : 64),
            };
            packets.Add((frame.ToBytes(), !isPlain && random.Next(20) == 0 ? CapturedPacket.NoTime : time));
            if (isTranslated && i > Segments / 4)
            {
                // The same packet with another address, as a node that translates has it.
                packets.Add(((frame with { Source = Translated(frame.Source), Destination = Translated(frame.Destination) }).ToBytes(), time + 1000));
            }
        }
        return packets;
    }

    private static string Translated(string end) => end == "10.0.0.1:40000" ? "10.9.9.9:50000" : end;

    private static (string Json, long Replies) Report(List<(byte[] Frame, long Time)> packets, TcpFlags more)
    {
        const int flagsAt = 14 + 20 + 13;
        using var output = new MemoryStream();
        var report = ProbeReport.Create(output, json: true);
        var scan = new ProbeScan(report);
        var number = 0;
        foreach (var (frame, time) in packets)
        {
            byte[] bytes = [.. frame];
            bytes[flagsAt] |= (byte)more;
            scan.Take(new CapturedPacket(++number, time, LinkType.Ethernet, bytes, bytes.Length));
        }
        scan.End();
        report.Summarize(scan, dropped: null);
        report.Flush();
        return (Encoding.UTF8.GetString(output.ToArray()), scan.Replies);
    }
}
