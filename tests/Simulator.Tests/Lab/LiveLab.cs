using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Sockets;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary>A connection in a live lab, with both of its ends.</summary>
internal sealed record Connection(LiveLab Lab, SocketId Client, SocketId Server, int ClientPort, int ServerPort, bool IsIPv6)
{
    public SocketId Id(FlowEnd end) => end == FlowEnd.Client ? Client : Server;

    public Holder Application(FlowEnd end) => Lab.Application(end);

    public bool Is(LabEvent what) => what.Flow.ClientPort == ClientPort && what.Flow.ServerPort == ServerPort && what.Flow.IsIPv6 == IsIPv6;

    /// <summary>The connection's segments that one end's kernel has sent or received so far.</summary>
    public IReadOnlyList<TcpdumpSegment> SeenBy(FlowEnd end) => [.. Lab.Segments(end).Where(Belongs)];

    /// <summary>The same, limited to the segments that one end sent.</summary>
    public IReadOnlyList<TcpdumpSegment> SeenBy(FlowEnd end, FlowEnd sentBy) => [.. SeenBy(end).Where(segment => segment.Source.Port == Port(sentBy))];

    /// <summary>Sends some bytes and waits for their arrival.</summary>
    public void Carry(FlowEnd from, int bytes)
    {
        Assert.Equal(bytes, Application(from).Send(Id(from), bytes));
        var arrived = 0L;
        Eventually.True(() => (arrived += Application(from.Other()).Receive(Id(from.Other())).Bytes) >= bytes, TimeSpan.FromSeconds(10));
        Assert.Equal(bytes, arrived);
    }

    /// <summary>The current state of an end: nothing, eof or reset. The kernel reports an error once.</summary>
    public string Reaction(FlowEnd end) => Reaction(end, out _);

    /// <summary>The current state of an end, and the number of bytes that have arrived there.</summary>
    public string Reaction(FlowEnd end, out long arrived)
    {
        const int brokenPipe = 32, reset = 104;
        arrived = 0;
        var (errno, _) = Application(end).PendingError(Id(end));
        var isEnd = false;
        try
        {
            (arrived, isEnd) = errno == 0 ? Application(end).Receive(Id(end)) : default;
        }
        catch (HolderException e)
        {
            // The reset arrived in between.
            errno = e.Errno;
        }
        return errno switch
        {
            0 => isEnd ? "eof" : "nothing",
            reset => "reset",
            // Linux reports a reset after the other end's FIN this way (tcp_reset).
            brokenPipe => "broken pipe",
            _ => string.Create(CultureInfo.InvariantCulture, $"errno {errno}"),
        };
    }

    public string WaitForReaction(FlowEnd end)
    {
        var reaction = "nothing";
        Eventually.True(() => (reaction = Reaction(end)) != "nothing", TimeSpan.FromSeconds(10));
        return reaction;
    }

    public TimeSpan WaitFor(LabEventKind kind, TimeSpan within)
    {
        Eventually.True(() => Lab.Events.Any(what => what.Kind == kind && Is(what)), within, what: $"{kind} of {this}");
        return Lab.Events.First(what => what.Kind == kind && Is(what)).Time;
    }

    public int Count(LabEventKind kind) => Lab.Events.Count(what => what.Kind == kind && Is(what));

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{(IsIPv6 ? "IPv6" : "IPv4")} {ClientPort} → {ServerPort}");

    private int Port(FlowEnd end) => end == FlowEnd.Client ? ClientPort : ServerPort;

    private bool Belongs(TcpdumpSegment segment)
    {
        var (source, destination) = (segment.Source, segment.Destination);
        return source.AddressFamily == (IsIPv6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork)
            && ((source.Port, destination.Port) == (ClientPort, ServerPort) || (source.Port, destination.Port) == (ServerPort, ClientPort));
    }
}

/// <summary>A lab in this process with an unmodified application and a capture on each side.</summary>
internal sealed class LiveLab : IDisposable
{
    /// <summary>The collection of the tests with labs in this process: each measures time, and many run several labs at once.</summary>
    public const string Labs = "labs";

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-lab-test-").FullName;
    private readonly ConcurrentQueue<LabEvent> _events = new();
    private readonly ConcurrentQueue<Exception> _failures = new();
    private readonly Dictionary<FlowEnd, TcpdumpCapture> _captures = [];
    private readonly Dictionary<FlowEnd, IReadOnlyList<TcpdumpSegment>> _captured = [];
    private readonly Dictionary<FlowEnd, int> _accepted = new() { [FlowEnd.Client] = 0, [FlowEnd.Server] = 0 };
    private readonly Dictionary<FlowEnd, int> _ports = [];

    public LiveLab(IdleBehaviour behaviour, TimeSpan idleTimeout, bool capture = true, string? log = null)
    {
        Running = RunningLab.Create();
        try
        {
            Client = Start(Running.Network.Client);
            Server = Start(Running.Network.Server);
            Running.Balance(new BalancerRule(idleTimeout, behaviour), _events.Enqueue, _failures.Enqueue, log is null ? null : FrameLog.Create(log));
            if (capture)
            {
                _captures[FlowEnd.Client] = new TcpdumpCapture(Client, LabNetwork.ClientLink, file: CaptureFile(FlowEnd.Client));
                _captures[FlowEnd.Server] = new TcpdumpCapture(Server, LabNetwork.ServerLink, file: CaptureFile(FlowEnd.Server));
            }
            foreach (var end in new[] { FlowEnd.Client, FlowEnd.Server })
            {
                _ports[end] = Application(end).Listen();
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public RunningLab Running { get; }

    public Holder Client { get; } = null!;

    public Holder Server { get; } = null!;

    public IReadOnlyCollection<LabEvent> Events => _events;

    public int ServerPort => _ports[FlowEnd.Server];

    public Holder Application(FlowEnd end) => end == FlowEnd.Client ? Client : Server;

    public static string Address(FlowEnd end, bool isIPv6) => ((end, isIPv6) switch
    {
        (FlowEnd.Client, false) => LabNetwork.ClientAddress,
        (FlowEnd.Client, true) => LabNetwork.ClientAddress6,
        (_, false) => LabNetwork.ServerAddress,
        _ => LabNetwork.ServerAddress6,
    }).ToString();

    /// <summary>Opens a connection. With 0 the kernel chooses its port or its first sequence number.</summary>
    public Connection Connect(bool isIPv6, FlowEnd by = FlowEnd.Client, int port = 0, uint sequence = 0)
    {
        var other = by.Other();
        SocketId own = Application(by).Dial(Address(other, isIPv6), _ports[other], port, sequence);
        var local = Application(by).LocalEndPoint(own).Port;
        // Accepted connections are numbered in order of arrival.
        var index = _accepted[other]++;
        var accepted = SocketId.Accepted(index);
        Eventually.True(() => Application(other).Count().Accepted > 0 && Exists(Application(other), accepted), TimeSpan.FromSeconds(10));
        return by == FlowEnd.Client
            ? new Connection(this, own, accepted, local, _ports[other], isIPv6)
            : new Connection(this, accepted, own, _ports[other], local, isIPv6);
    }

    public IReadOnlyList<TcpdumpSegment> Segments(FlowEnd end) => _captured.TryGetValue(end, out var segments) ? segments : _captures[end].Segments;

    /// <summary>Ends the captures and the lab. The lab must have carried every frame.</summary>
    public LabSummary Stop()
    {
        foreach (var (end, capture) in _captures)
        {
            _captured[end] = capture.Stop();
        }
        Assert.Empty(_failures);
        return Running.Stop()!.Value.Summary;
    }

    /// <summary>tcpdump's report about the checksums of all segments that one side's kernel sent and received, at least one word for each
    /// segment.</summary>
    public IReadOnlyList<string> Checksums(FlowEnd end) =>
    [
        .. Command.Run("tcpdump", "-r", CaptureFile(end), "-n", "-vv").Lines
            .SelectMany(line => line.Split('(', ')', ',')
                .Where(part => part.Contains("bad cksum", StringComparison.Ordinal) || part.StartsWith("correct", StringComparison.Ordinal)
                    || part.StartsWith("incorrect", StringComparison.Ordinal))),
    ];

    public void Dispose()
    {
        foreach (var capture in _captures.Values)
        {
            capture.Dispose();
        }
        Client?.Dispose();
        Server?.Dispose();
        Running.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private static bool Exists(Holder holder, SocketId id)
    {
        try
        {
            holder.Descriptor(id);
            return true;
        }
        catch (HolderException)
        {
            return false;
        }
    }

    private static Holder Start(LabSide side)
    {
        var holder = Holder.StartIn(side.NamespacePath);
        holder.AcceptByHand();
        return holder;
    }

    private string CaptureFile(FlowEnd end) => Path.Combine(_directory, $"{end}.pcap");
}
