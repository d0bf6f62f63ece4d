using System.Text.Json;
using Keepalive.Linux.Packets;
using Xunit;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>The rows and lines of <c>probes</c> for connections that were dead after a silence.</summary>
public sealed class BrokenReportTests
{
    private const string Conclusion = """
        10.0.0.2:5432: 2 connections dead after at least 610 s of silence, others alive after up to 580 s: as if something on the way had an idle timeout between the two. A keepalive time below 580 s prevents this
        10.0.0.2:5432: 1 reset with another TTL than the packets before: sent by a device on the way in the name of this end
        """;

    [Fact]
    public void Table_HasARowForEachAndTheRangeOfTheIdleTimeout()
    {
        var lines = CaptureReport.Table(File()).Split('\n');

        Assert.Equal(
            $"""

            FRAME  SILENCE  SOURCE          DESTINATION    SENT  RESULT
            9      610 s    10.0.0.1:40000  10.0.0.2:5432  data  reset by 10 after 1000 ms, TTL 254, packets before 60: not its own
            14     300 s    10.0.0.5:40000  10.0.0.2:5432  data  reset by 15 after 1000 ms, TTL 60 as before; that end had closed before
            11     611 s    10.0.0.3:40000  10.0.0.2:5432  data  no answer to it and 1 more
            {Conclusion}
            """.Split('\n'),
            lines[..^2]);
    }

    [Fact]
    public void Summary_HasTheRangeOfTheIdleTimeout() => Assert.StartsWith(Conclusion + "\n", CaptureReport.Summary(File(), json: false), StringComparison.Ordinal);

    [Fact]
    public void Json_HasBoth()
    {
        var text = CaptureReport.Json(File()).Split('\n')[^2];
        using var _ = JsonDocument.Parse(text);

        Assert.Contains(
            ",\"idleTimeouts\":[{\"server\":\"10.0.0.2:5432\",\"broken\":2,\"brokenMsLeast\":610000,\"survivedMsMost\":580000,\"otherTtl\":1,\"sameTtlUnasked\":0,\"silentAtEnd\":0}],"
            + "\"broken\":["
            + "{\"frame\":9,\"source\":\"10.0.0.1:40000\",\"destination\":\"10.0.0.2:5432\",\"silenceMs\":610000,\"sent\":\"data\",\"resetFrame\":10,\"resetTtl\":254,\"ttlBefore\":60},"
            + "{\"frame\":14,\"source\":\"10.0.0.5:40000\",\"destination\":\"10.0.0.2:5432\",\"silenceMs\":300000,\"sent\":\"data\",\"resetFrame\":15,\"resetTtl\":60,\"ttlBefore\":60,\"afterClose\":true},"
            + "{\"frame\":11,\"source\":\"10.0.0.3:40000\",\"destination\":\"10.0.0.2:5432\",\"silenceMs\":611000,\"sent\":\"data\",\"unanswered\":2}"
            + "],\"connections\":[",
            text, StringComparison.Ordinal);
    }

    /// <summary>Neither has anything to say of a capture without broken connections.</summary>
    [Fact]
    public void Json_WithoutBrokenConnections_HasNeither() => Assert.DoesNotContain("roken", CaptureReport.Json(new CaptureBytes().Pcap()), StringComparison.Ordinal);

    [Fact]
    public void Table_WithTooMany_SaysHowMany()
    {
        var file = new CaptureBytes().Pcap();
        for (var at = 0; at < 2; at++)
        {
            for (var i = 0; i < 50; i++)
            {
                file.Record(Segment($"10.0.1.{i}:40000", true, at * 10, 0, 10), at == 0 ? 0u : 100);
                file.Record(Segment($"10.0.1.{i}:40000", false, 0, at == 0 ? 10 : 20, 0, at == 0 ? TcpFlags.Ack : TcpFlags.Rst), at == 0 ? 0u : 100);
            }
        }

        Assert.Contains("\nand 10 more; -o json lists all\n10.0.0.2:5432: 50 connections dead after at least 100 s of silence, none alive after 10 s or more: "
            + "as if something on the way had an idle timeout below 100 s\n", CaptureReport.Table(file), StringComparison.Ordinal);
    }

    /// <summary>One connection survives 580 s and is reset in the server's name after 610 s; one gets no answer after 611 s; one was closed by the server.</summary>
    private static CaptureBytes File()
    {
        const string first = "10.0.0.1:40000", second = "10.0.0.3:40000", third = "10.0.0.5:40000";
        var file = new CaptureBytes().Pcap();
        foreach (var client in new[] { first, second, third })
        {
            file.Record(Segment(client, true, 0, 0, 100), 10).Record(Segment(client, false, 0, 100, 0), 10);
        }
        return file
            .Record(Segment(first, true, 100, 0, 100), 590).Record(Segment(first, false, 0, 200, 0), 590)
            .Record(Segment(first, true, 200, 0, 100), 1200).Record(Segment(first, false, 0, 300, 0, TcpFlags.Rst, 254), 1201)
            .Record(Segment(second, true, 100, 0, 100), 621)
            .Record(Segment(third, false, 0, 100, 0, TcpFlags.Ack | TcpFlags.Fin), 12).Record(Segment(third, true, 100, 1, 0), 12)
            .Record(Segment(third, true, 100, 1, 100), 312).Record(Segment(third, false, 1, 200, 0, TcpFlags.Rst), 313)
            .Record(Segment(second, true, 100, 0, 100), 622);
    }

    private static byte[] Segment(string client, bool isRequest, int sequence, int acknowledged, int length, TcpFlags flags = TcpFlags.Ack, byte? ttl = null) => new Frame
    {
        Source = isRequest ? client : "10.0.0.2:5432",
        Destination = isRequest ? "10.0.0.2:5432" : client,
        Sequence = (uint)sequence + (isRequest ? 5000u : 7000u),
        Acknowledged = (uint)acknowledged + (isRequest ? 7000u : 5000u),
        Payload = new byte[length],
        Flags = flags,
        HopLimit = ttl ?? (isRequest ? (byte)64 : (byte)60),
    }.ToBytes();
}
