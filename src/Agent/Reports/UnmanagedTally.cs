using System.Runtime.InteropServices;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Reports;

/// <summary>Counts the connections that no policy selects, by workload and destination. Passes write it, and any thread reads it.</summary>
/// <remarks>A namespace is counted when a pass lists all of it. The number of entries is bounded, because tenants choose how many
/// destinations they connect to.</remarks>
internal sealed class UnmanagedTally : ISocketSink
{
    /// <summary>The maximum number of destinations of one namespace. Connections to others are counted together.</summary>
    public const int MaxDestinations = 256;

    /// <summary>The name of the destinations that are counted together.</summary>
    public const string OtherDestinations = "other addresses";

    /// <summary>Below the ports that Linux gives to clients (ip_local_port_range). The agent does not list listening sockets, so a connection
    /// from such a port to a higher one counts as accepted.</summary>
    private const int FirstClientPort = 32768;

    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, Dictionary<Key, Counts>> _namespaces = [];
    private Dictionary<Key, Counts>? _frame;
    private ulong _frameNamespace;

    public bool TakesChanges => true;

    public void BeginNamespace(ulong inode) => (_frame, _frameNamespace) = ([], inode);

    public void Socket(in SocketRecord record)
    {
        if (_frame is null || record.Namespace != _frameNamespace || record is not { Rule: null, IsLocal: false, State: TcpState.Established })
        {
            return;
        }
        var isAccepted = record.Local.Port < FirstClientPort && record.Local.Port < record.Remote.Port;
        var key = new Key(record.Workload, isAccepted ? new SocketEndpoint(default, record.Local.Port) : record.Remote, isAccepted);
        if (_frame.Count >= MaxDestinations && !_frame.ContainsKey(key))
        {
            key = new Key(record.Workload, default, false);
            key = _frame.Count < 2 * MaxDestinations || _frame.ContainsKey(key) ? key : new Key("", default, false);
        }
        ref var counts = ref CollectionsMarshal.GetValueRefOrAddDefault(_frame, key, out _);
        counts.Connections++;
        // An idle connection that has keepalive shows its timer.
        counts.Unprotected += record.Timer == TcpTimer.None ? 1 : 0;
    }

    public void EndNamespace(ulong inode)
    {
        lock (_lock)
        {
            if (_frame is { Count: > 0 } frame)
            {
                _namespaces[inode] = frame;
            }
            else
            {
                _namespaces.Remove(inode);
            }
        }
        _frame = null;
    }

    public void NamespaceGone(ulong inode)
    {
        lock (_lock)
        {
            _namespaces.Remove(inode);
        }
    }

    /// <summary>Returns the connections by workload and destination.</summary>
    public IReadOnlyList<Row> List()
    {
        var all = new Dictionary<Key, Counts>();
        lock (_lock)
        {
            foreach (var (key, here) in _namespaces.Values.SelectMany(static one => one))
            {
                ref var counts = ref CollectionsMarshal.GetValueRefOrAddDefault(all, key, out _);
                counts.Connections += here.Connections;
                counts.Unprotected += here.Unprotected;
            }
        }
        return [.. all.Select(static one => new Row(one.Key.Workload, Name(one.Key), one.Key.IsAccepted, one.Value.Connections, one.Value.Unprotected))];
    }

    private static string Name(in Key key) => key.IsAccepted ? $":{key.End.Port}" : key.End == default ? OtherDestinations : key.End.ToString();

    /// <summary>Connections of one workload to one destination.</summary>
    internal readonly record struct Row(string Workload, string Destination, bool IsAccepted, int Connections, int Unprotected);

    private readonly record struct Key(string Workload, SocketEndpoint End, bool IsAccepted);

    private struct Counts
    {
        public int Connections;
        public int Unprotected;
    }
}
