using System.Globalization;
using Keepalive.CommandLine;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Pages;

/// <summary>Collects the packets of a capture for the page, in bounded memory however large the capture is.</summary>
/// <remarks>
/// Of every connection in the flow table there are counters; packets are kept of those with most trouble, and of each a bounded number. A connection
/// without its packets gets room again when it has trouble.
/// </remarks>
/// <param name="capacity">The most connections with packets after a choice; twice as many before.</param>
internal sealed class CapturedPackets(int capacity = CapturedPackets.DefaultCapacity) : ISegmentWatch
{
    /// <summary>More than a page shows: a connection that gets into trouble late has its beginning, too.</summary>
    public const int DefaultCapacity = 512;

    private readonly List<CapturedConnection> _kept = [];
    private CapturedConnection?[] _byFlow = new CapturedConnection?[256];
    private long _began = CapturedPacket.NoTime;
    private long _latest;
    private long _connections;

    public void Seen(in CapturedPacket packet, in TcpSegment segment, in Classification result, int flow)
    {
        if (flow >= _byFlow.Length)
        {
            Array.Resize(ref _byFlow, Math.Max(flow + 1, _byFlow.Length * 2));
        }
        var key = FlowKey.Of(segment.Source, segment.Destination, packet.Scope, out var fromLow);
        ref var connection = ref _byFlow[flow];
        if (connection is null || connection.Key != key)
        {
            connection = new CapturedConnection(key);
            _connections++;
            Keep(connection);
        }
        if (packet.Time != CapturedPacket.NoTime)
        {
            _began = _began == CapturedPacket.NoTime ? packet.Time : _began;
            _latest = packet.Time - _began;
        }
        var before = connection.Trace is null ? connection.TroubleNow : default;
        // A packet without a time is where the one before it was.
        connection.Add(packet.Number, _latest, in segment, in result, fromLow);
        if (connection.Trace is null && connection.TroubleNow > before)
        {
            connection.Trace = new PacketTrace();
            Keep(connection);
        }
    }

    /// <summary>Puts the report together.</summary>
    /// <param name="scan">The scan, ended.</param>
    /// <param name="source">The capture's name.</param>
    public PacketReport Complete(ProbeScan scan, string source)
    {
        Choose(Math.Min(capacity, PacketPage.MaxConnections));
        return new PacketReport
        {
            Title = $"Keepalive in {source}",
            Source = "keepalive-agent probes",
            Began = _began == CapturedPacket.NoTime ? null : _began,
            Lanes = ["client", "server"],
            Connections = [.. _kept.Select(static connection => connection.ToReport())],
            Facts =
            [
                new("packets", Number(scan.Packets)),
                new("connections", Number(_connections)),
                new("keepalive probes", Number(scan.Probes)),
                new("answered", Number(scan.Replies)),
                new("duration", PacketReport.TextOf(_latest)),
            ],
            LeftOut = _connections <= _kept.Count
                ? []
                : [$"{Words.Count(_connections - _kept.Count, "connection")} with less trouble than the {_kept.Count} on this page."],
        };
    }

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    private void Keep(CapturedConnection connection)
    {
        if (_kept.Count == 2 * capacity)
        {
            Choose(capacity);
        }
        _kept.Add(connection);
    }

    /// <summary>Keeps the packets of those with most trouble.</summary>
    private void Choose(int number)
    {
        if (_kept.Count <= number)
        {
            return;
        }
        _kept.Sort(static (one, other) => other.Weight.CompareTo(one.Weight));
        foreach (var connection in _kept.Skip(number))
        {
            connection.Trace = null;
        }
        _kept.RemoveRange(number, _kept.Count - number);
    }
}
