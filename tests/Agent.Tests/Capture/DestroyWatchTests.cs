using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Diagnostics;
using Keepalive.Agent.Capture;
using Keepalive.Agent.Log;
using Keepalive.EndToEnd;
using Keepalive.Linux.Netlink;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Keepalive.Agent.Tests.Capture;

/// <summary>Ends of connections that the kernel reports, in namespaces that come and go, beside tenants that send what looks like them.</summary>
public sealed class DestroyWatchTests : IDisposable
{
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(5);

    private readonly Lab _lab;
    private readonly int _port;
    private readonly Ends _ends = new();
    private readonly LogLines _log = new(LogLevel.Information);
    private readonly FakeTimeProvider _time = new();

    public DestroyWatchTests()
    {
        Live.Require("python3");
        _lab = new Lab();
        _port = _lab.Server.Listen();
    }

    [Fact]
    public void Destroyed_EachKindOfEnd_IsToldWithItsNumbersAndANormalCloseIsNot()
    {
        using var watch = Watch();
        _lab.Server.AcceptByHand();
        int idle = Connect(Lab.ServerAddress), sending = Connect(Lab.ServerAddress6), half = Connect(Lab.ServerAddressMapped), closed = Connect(Lab.ServerAddress6);
        foreach (int id in (int[])[idle, sending, half, closed])
        {
            _lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 2);
        }
        ulong[] cookies = [_lab.Client.Cookie(idle), _lab.Client.Cookie(sending), _lab.Client.Cookie(half)];
        _lab.Client.Set(sending, HolderOption.UserTimeoutMilliseconds, 700);
        _lab.Client.HalfClose(half);
        _lab.Client.Close(closed);
        Update(watch, _lab.Client);
        Eventually.True(() => Ss.Read(_lab.Client).Any(socket => socket.State == "FIN-WAIT-2"), s_soon);

        _lab.BlackHole();
        _lab.Client.Send(sending, 10);
        Eventually.True(() => new[] { idle, sending, half }.All(id => _lab.Client.PendingError(id).Over), TimeSpan.FromSeconds(15));
        Assert.Empty(_ends.Told);
        _lab.Client.CloseAll();

        Eventually.True(() => _ends.Told.Count >= 3, s_soon);
        Assert.All(_ends.Told, end => Assert.Equal((ulong)_lab.Client.NetnsInode, end.Inode));
        var told = _ends.Told.ToDictionary(end => end.Socket.Cookie, end => end.Socket);
        Assert.Equal(cookies.Order(), told.Keys.Order());
        Assert.Equal((2, 0), (told[cookies[0]].Probes, told[cookies[0]].Retransmits));
        Assert.Equal(0, told[cookies[1]].Probes);
        Assert.InRange(told[cookies[1]].Retransmits, 1, 15);
        Assert.Equal((2, 0), (told[cookies[2]].Probes, told[cookies[2]].Retransmits));
        Assert.Equal(0, watch.Unreported);
        Assert.Null(watch.Failure);
    }

    [Fact]
    public void Update_TwoNamespaces_EachConnectionIsToldOfItsOwn()
    {
        using var watch = Watch();
        _lab.Server.AcceptByHand();
        int id = Connect(Lab.ServerAddress);
        var accepted = SocketId.Accepted(0);
        Eventually.True(() => _lab.Server.Count().Accepted == 1, s_soon);
        Update(watch, _lab.Client, _lab.Server);
        _lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 1);
        _lab.Server.EnableKeepalive(accepted, idle: 1, interval: 1, count: 2);
        var expected = new[] { ((ulong)_lab.Client.NetnsInode, _lab.Client.Cookie(id), 1), ((ulong)_lab.Server.NetnsInode, _lab.Server.Cookie(accepted), 2) };
        // Without the reset of the one that gives up first: the other ends by itself.
        _lab.BlackHole();
        Eventually.True(() => _lab.Client.PendingError(id).Over && _lab.Server.PendingError(accepted).Over, TimeSpan.FromSeconds(15));
        _lab.Client.Close(id);
        _lab.Server.Close(accepted);

        Eventually.True(() => _ends.Told.Count >= 2, s_soon);
        Assert.Equal(expected.Order(), _ends.Told.Select(end => (end.Inode, end.Socket.Cookie, (int)end.Socket.Probes)).Order());
    }

    /// <summary>A socket of the agent's keeps a namespace alive.</summary>
    [Fact]
    public void Update_NamespaceNoLongerWanted_IsLetGoOfAfterItsLastSocketIsTold()
    {
        using var watch = Watch();
        int id = Connect(Lab.ServerAddress);
        _lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 1);
        Update(watch, _lab.Client);
        Assert.Equal(1, Listening(_lab.Client));
        _lab.BlackHole();
        Eventually.True(() => _lab.Client.PendingError(id).Over, TimeSpan.FromSeconds(15));
        _lab.Client.Close(id);
        // The kernel's message may still be on its way when the socket is known to be gone.
        Eventually.True(() => _ends.Told.Count == 1, s_soon);

        watch.Update([]);

        Eventually.True(() => Listening(_lab.Client) == 0 && !watch.Covers((ulong)_lab.Client.NetnsInode), s_soon);
        Assert.Single(_ends.Told);
        Update(watch, _lab.Client);
        Assert.Equal(1, Listening(_lab.Client));
    }

    [Fact]
    public void Dispose_LetsGoOfAll()
    {
        var watch = Watch();
        Update(watch, _lab.Client, _lab.Server);
        Assert.Equal((1, 1), (Listening(_lab.Client), Listening(_lab.Server)));

        watch.Dispose();

        Assert.Equal((0, 0), (Listening(_lab.Client), Listening(_lab.Server)));
    }

    [Fact]
    public void Update_MoreNamespacesThanThereMayBe_LeavesOneOutAndSaysSoOnce()
    {
        using var watch = Watch(most: 1);
        Update(watch, _lab.Client);
        var both = new[] { Demand(_lab.Server), Demand(_lab.Client) };

        for (var times = 0; times < 3; times++)
        {
            _time.Advance(TimeSpan.FromMinutes(2));
            watch.Update(both);
            Eventually.True(() => watch.Failure is not null, s_soon);
        }

        Assert.True(watch.Covers((ulong)_lab.Client.NetnsInode));
        Assert.False(watch.Covers((ulong)_lab.Server.NetnsInode));
        Assert.EndsWith("and 1 in all", watch.Failure, StringComparison.Ordinal);
        Assert.Equal((LogLevel.Warning, EventIds.DestroyedUnavailable), Assert.Single(_log.Said.Select(said => (said.Level, said.Id))));

        // With the other gone there is room.
        _time.Advance(TimeSpan.FromMinutes(2));
        Update(watch, _lab.Server);
        Assert.Null(watch.Failure);
        Assert.Single(_log.Said);
    }

    [Fact]
    public void Update_NamespaceOfNobody_IsNoFailure()
    {
        using var watch = Watch();
        watch.Update([new CaptureDemand(1, 0, 0, [Environment.ProcessId, 999_999_999], FrozenSet<UInt128>.Empty, FrozenSet<UInt128>.Empty)]);
        Update(watch, _lab.Client);

        Assert.False(watch.Covers(1));
        Assert.Null(watch.Failure);
        Assert.Empty(_log.Said);
    }

    [Fact]
    public void Destroyed_ProcessEndsWithManyDeadConnections_EachIsToldOrCounted()
    {
        const int count = 2000;
        using var watch = Watch();
        using var application = _lab.Client.StartBeside();
        application.Shell("cd /proc/sys/net/ipv4 && echo 1 > tcp_keepalive_time && echo 1 > tcp_keepalive_probes && echo 1 > tcp_keepalive_intvl");
        var (first, last) = application.ConnectMany(Lab.ServerAddress, _port, count);
        // A namespace belongs to whom a process there does: this is not the node's.
        using var tenant = Tenant.Beside(_lab.Client.NetnsPath, "import signal; print('ready'); signal.pause()");
        Update(watch, [Demand(_lab.Client) with { Processes = [tenant.Run.Pid] }]);
        _lab.BlackHole();
        for (int id = first; id <= last; id++)
        {
            application.Set(id, HolderOption.Keepalive, 1);
        }
        Eventually.True(() => Ss.Read(_lab.Client).Count == 0, TimeSpan.FromSeconds(20));
        application.Kill();

        Eventually.True(() => _ends.Told.Count + watch.Unreported == count, s_soon);
        TestContext.Current.TestOutputHelper?.WriteLine($"{_ends.Told.Count} told, {watch.Unreported} dropped");
        // However late the reader is: its socket has room for so many. A busy machine decides how many more are read in time.
        Assert.InRange(_ends.Told.Count, 250, count);
        Assert.Equal(_ends.Told.Count, _ends.Told.Select(end => end.Socket.Cookie).Distinct().Count());
    }

    /// <summary>Root of a user namespace may send to the groups in network namespaces of its own, as much as it likes, and have any number of them.</summary>
    [Fact]
    public void Destroyed_TenantFloodsItsNamespaces_IsNotBelievedAndReadAtALimitedRate()
    {
        using var tenant = new Tenant(Flood, "8");
        using var watch = new DestroyWatch(_ends, _log, TimeProvider.System, 16);
        var tenants = tenant.Run.WaitForLine(line => line.StartsWith("pids ", StringComparison.Ordinal)).Split(' ')[1..].Select(pid => Demand($"/proc/{pid}/ns/net")).ToList();
        Assert.Equal(8, tenants.Select(demand => demand.Inode).Distinct().Count());
        Update(watch, [.. tenants, Demand(_lab.Client)]);
        Eventually.True(() => watch.Received > DestroyWatch.MaxAtOnce && watch.Unreported > 1000, TimeSpan.FromSeconds(20));

        var (clock, processor, received) = (Stopwatch.StartNew(), Processor(), watch.Received);
        int id = Connect(Lab.ServerAddress);
        _lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 2);
        _lab.BlackHole();
        Eventually.True(() => _lab.Client.PendingError(id).Over, TimeSpan.FromSeconds(15));
        _lab.Client.Close(id);
        Eventually.True(() => !_ends.Told.IsEmpty, TimeSpan.FromSeconds(10));

        var (took, used, read) = (clock.Elapsed, Processor() - processor, watch.Received - received);
        TestContext.Current.TestOutputHelper?.WriteLine($"{read} read in {took.TotalSeconds:0.0} s, {used.TotalMilliseconds:0} ms of processor time, {watch.Unreported} dropped");
        Assert.Equal((ulong)_lab.Client.NetnsInode, Assert.Single(_ends.Told).Inode);
        Assert.Empty(_ends.Unreported.Except(tenants.Select(demand => demand.Inode)));
        Assert.InRange(read, DestroyWatch.MaxInSecond * took.TotalSeconds / 100, DestroyWatch.MaxInSecond * (took.TotalSeconds + 0.1));
        Assert.InRange(used / took, 0, 0.25);
    }

    public void Dispose() => _lab.Dispose();

    // A process in each of as many namespaces as the first argument says, which sends more than is read at a time, again and again.
    private const string Flood = """
        import ctypes, os, signal, socket, struct, sys, time
        libc, parent, pids = ctypes.CDLL(None), os.getpid(), []
        info = struct.pack("HH", 284, 2) + bytes([7, 0, 0, 3]) + bytes(276)
        message = struct.pack("IHHII", 16 + 72 + len(info), 20, 0, 0, 0) + bytes([2, 7, 0, 0]) + bytes(68) + info
        for i in range(int(sys.argv[1])):
            read, write = os.pipe()
            pids.append(os.fork())
            if pids[-1] == 0:
                libc.prctl(1, signal.SIGKILL)
                if os.getppid() != parent:
                    os._exit(0)
                libc.unshare(0x40000000)
                os.write(write, b"x")
                s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
                while True:
                    for i in range(500):
                        try:
                            s.sendto(message, (0, 1))
                        except ConnectionRefusedError:
                            pass   # nobody listens yet
                    time.sleep(0.02)
            os.read(read, 1)
            os.close(read)
            os.close(write)
        print("ready")
        print("pids " + " ".join(map(str, pids)))
        signal.pause()
        """;

    private DestroyWatch Watch(int most = 8) => new(_ends, _log, _time, most);

    private int Connect(string address) => _lab.Client.Connect(address, _port);

    /// <summary>Has those namespaces watched, and waits until they are.</summary>
    private static void Update(DestroyWatch watch, params Holder[] holders) => Update(watch, [.. holders.Select(Demand)]);

    /// <summary>The same, pass after pass: on a busy machine one may not have enough time for all.</summary>
    private static void Update(DestroyWatch watch, IReadOnlyList<CaptureDemand> demands)
    {
        for (int pass = 1; demands.Any(demand => !watch.Covers(demand.Inode)); pass++)
        {
            Assert.InRange(pass, 1, 20);
            watch.Update(demands);
            try
            {
                Eventually.True(() => demands.All(demand => watch.Covers(demand.Inode)), TimeSpan.FromSeconds(1));
            }
            catch (TimeoutException) when (pass < 20)
            {
            }
        }
    }

    private static CaptureDemand Demand(Holder holder) => Demand(holder.NetnsPath);

    private static CaptureDemand Demand(string path) =>
        new(Linux.Processes.ProcFs.Inode(path), 0, 0, [Environment.ProcessId], FrozenSet<UInt128>.Empty, FrozenSet<UInt128>.Empty);

    /// <summary>sock_diag sockets of a namespace that have joined groups: protocol and groups are the second and the fourth column.</summary>
    private static int Listening(Holder holder) =>
        File.ReadAllLines($"/proc/{holder.Pid}/net/netlink").Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Count(words => words[1] == "4" && words[3] == "00000005");

    /// <summary>Of the thread that reads: all others of the process may belong to other tests.</summary>
    private static TimeSpan Processor()
    {
        long ticks = 0;
        foreach (var task in Directory.EnumerateDirectories("/proc/self/task"))
        {
            try
            {
                if (File.ReadAllText($"{task}/comm").TrimEnd() == "destroyed")
                {
                    ticks += File.ReadAllText($"{task}/stat").Split(") ")[1].Split(' ')[11..13].Sum(long.Parse);
                }
            }
            catch (IOException)
            {
                // It has ended.
            }
        }
        return TimeSpan.FromMilliseconds(ticks * 10);
    }

    private sealed class Ends : IDestroyListener
    {
        public ConcurrentQueue<(ulong Inode, DestroyedSocket Socket)> Told { get; } = new();

        public ConcurrentBag<ulong> Unreported { get; } = [];

        public void Destroyed(ulong inode, in DestroyedSocket socket) => Told.Enqueue((inode, socket));

        public void DestroyedUnreported(ulong inode, long count)
        {
            Assert.True(count > 0);
            Unreported.Add(inode);
        }
    }
}
