using System.Text.Json;
using Keepalive.Linux.Packets;
using Xunit;

namespace Keepalive.Probes.Tests.Capture;

/// <summary><c>probes --summary</c>.</summary>
public sealed class SummaryTests
{
    /// <summary>All totals of the usual summary, byte for byte, with the counts instead of the connections.</summary>
    [Fact]
    public void Summary_AsJson_HasTheSameTotalsAndNoConnections()
    {
        var whole = CaptureReport.Json(File()).Split('\n')[^2];
        var summary = CaptureReport.Summary(File(), json: true);

        var common = whole[..whole.IndexOf(",\"connections\":", StringComparison.Ordinal)];
        Assert.Equal(
            common + ",\"probedConnections\":{\"answered\":3,\"unanswered\":1,\"reset\":1},\"encapsulatedSegments\":{\"vlan\":13,\"vxlan\":26}}\n",
            summary);
        using var _ = JsonDocument.Parse(summary);
    }

    [Fact]
    public void Summary_AsTable_HasTheSameTotalsAndNoLines()
    {
        var whole = CaptureReport.Table(File()).Split('\n');

        Assert.Equal(
            $"""
            connections with probes: 3 answered, 1 unanswered at the end, 1 reset
            segments in VLANs and tunnels: 13 vlan, 26 vxlan
            {whole[^2]}

            """,
            CaptureReport.Summary(File(), json: false));
    }

    [Fact]
    public void Summary_OfNothing_HasTotalsOnly() => Assert.Equal(
        "connections with probes: 0 answered, 0 unanswered at the end, 0 reset\n0 packets, 0 TCP segments of 0 connections: 0 probes, 0 answered\n",
        CaptureReport.Summary(new CaptureBytes().Pcap(), json: false));

    /// <summary>One connection in no tunnel, answered; one in VXLAN; one in VXLAN in a VLAN; one whose probes are not answered; one that is reset.</summary>
    private static CaptureBytes File()
    {
        var vxlan = Tunnels.All["vxlan"].Wrap;
        var file = Tunnels.Captured(new CaptureBytes().Pcap(), static (packet, forth) => Tunnels.Ethernet(forth, 0x0800, packet));
        Tunnels.Captured(file, vxlan, client: "10.0.0.3:40000");
        Tunnels.Captured(file, (packet, forth) => InVlan(vxlan(packet, forth)), client: "10.0.0.4:40000");
        Tunnels.Captured(file, static (packet, forth) => Tunnels.Ethernet(forth, 0x0800, packet), client: "10.0.0.5:40000", answers: false);
        Tunnels.Captured(file, static (packet, forth) => Tunnels.Ethernet(forth, 0x0800, packet), client: "10.0.0.6:40000");
        var reset = new Frame { Source = "10.0.0.2:443", Destination = "10.0.0.6:40000", Flags = TcpFlags.Rst, Sequence = 900_000_000 };
        return file.Record(reset.ToBytes(), 3000);
    }

    private static byte[] InVlan(byte[] frame) => [.. frame[..12], 0x81, 0, .. Tunnels.Tag(7, 0x0800, frame[14..])];
}
