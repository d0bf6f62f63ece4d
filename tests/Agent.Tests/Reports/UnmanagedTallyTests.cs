using System.Buffers.Binary;
using System.Net;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Reports;

/// <summary>Connections that no policy selects, counted by workload and destination.</summary>
public sealed class UnmanagedTallyTests
{
    private readonly UnmanagedTally _tally = new();

    [Fact]
    public void List_OfAFrame_CountsByDestinationAndListener()
    {
        Frame(
            1,
            Record("10.0.0.1:40000", "10.0.0.9:5432"),
            Record("10.0.0.1:40001", "10.0.0.9:5432") with { Timer = TcpTimer.Keepalive },
            Record("10.0.0.1:8080", "10.0.0.7:50000"),
            Record("10.0.0.1:8080", "10.0.0.7:50001"),
            Record("10.0.0.1:40002", "10.0.0.9:50051"),
            Record("10.0.0.1:40003", "10.0.0.9:5432") with { IsLocal = true },
            Record("10.0.0.1:40004", "10.0.0.9:5432") with { State = TcpState.CloseWait });

        Assert.Equal(
            [new("uid:0", "10.0.0.9:50051", false, 1, 1), new("uid:0", "10.0.0.9:5432", false, 2, 1), new("uid:0", ":8080", true, 2, 2)],
            _tally.List().OrderBy(row => row.IsAccepted).ThenBy(row => row.Destination, StringComparer.Ordinal));
    }

    [Fact]
    public void List_NextFrame_ReplacesTheNamespaceAndNoOther()
    {
        Frame(1, Record("10.0.0.1:40000", "10.0.0.9:5432"));
        Frame(2, Record("10.0.0.1:40000", "10.0.0.9:5432") with { Namespace = 2 });
        Assert.Equal(2, Assert.Single(_tally.List()).Connections);
        Frame(1);
        Assert.Equal(1, Assert.Single(_tally.List()).Connections);
        _tally.NamespaceGone(2);
        Assert.Empty(_tally.List());
    }

    /// <summary>A tenant connects to any number of addresses.</summary>
    [Fact]
    public void List_ManyDestinations_IsBoundedAndCountsAll()
    {
        Frame(1, [.. Enumerable.Range(0, 5000).Select(i => Record("10.0.0.1:40000", $"10.1.{i / 250}.{i % 250}:443"))]);
        var rows = _tally.List();
        Assert.InRange(rows.Count, 2, UnmanagedTally.MaxDestinations + 1);
        Assert.Equal(5000, rows.Sum(row => row.Connections));
        Assert.Contains(rows, row => row.Destination == UnmanagedTally.OtherDestinations);
    }

    private void Frame(ulong inode, params SocketRecord[] records)
    {
        _tally.BeginNamespace(inode);
        foreach (var record in records)
        {
            _tally.Socket(in record);
        }
        _tally.EndNamespace(inode);
    }

    private static SocketRecord Record(string local, string remote) => new()
    {
        Namespace = 1,
        Cookie = 1,
        Local = Endpoint(local),
        Remote = Endpoint(remote),
        State = TcpState.Established,
        Workload = "uid:0",
    };

    private static SocketEndpoint Endpoint(string text)
    {
        var end = IPEndPoint.Parse(text);
        return new SocketEndpoint(BinaryPrimitives.ReadUInt128BigEndian(end.Address.MapToIPv6().GetAddressBytes()), (ushort)end.Port);
    }
}
