using System.Buffers.Binary;
using System.Net;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Processes;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>A judgement applies to a socket only if the socket is in the namespace where it was judged.</summary>
public sealed class NamespaceTests : IDisposable
{
    private readonly Lab _lab;
    private readonly int _port;

    public NamespaceTests()
    {
        Live.Require();
        _lab = new Lab();
        _port = _lab.Server.Listen();
    }

    [Fact]
    public void IsIn_ByCookieAndByInode_IsTheSocketsOwnNamespaceAlone()
    {
        using var client = NamespaceSockets.Open(_lab.Client.NetnsPath);
        using var server = NamespaceSockets.Open(_lab.Server.NetnsPath);
        var (own, other) = (client.Identity, server.Identity);
        Assert.NotEqual(0UL, own.Cookie);
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.True(Holds(id, own));
        Assert.False(Holds(id, other));
        // As before Linux 5.14, where no namespace has a cookie: equal zeros prove nothing.
        Assert.True(Holds(id, own with { Cookie = 0 }));
        Assert.False(Holds(id, other with { Cookie = 0 }));
        // An inode number that is used again.
        Assert.False(Holds(id, own with { Cookie = own.Cookie + 1 }));
        Assert.False(Holds(id, default));
    }

    [Fact]
    public void Pass_SocketsOfAPredecessorWereFound_ReleasesTheirTable()
    {
        const int sockets = 10_000;
        var known = new InheritedSockets();
        for (var cookie = 1ul; cookie <= sockets; cookie++)
        {
            known.Add((1, cookie), SocketMemory.OfApplication);
        }
        using var datapath = Datapaths.Pidfd([_lab.Client.NetnsPath], known, null);
        for (var cookie = 11ul; cookie <= sockets; cookie++)
        {
            known.Remove((1, cookie));
        }
        datapath.Pass(PolicySnapshot.Empty, new PassScope { Full = true }, new FanOut());
        Assert.Equal(10, known.Count);
        Assert.InRange(known.Capacity, 10, sockets / 4);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Reach_SocketOfAnotherNamespaceWithTheSameCookie_IsNotReached(bool known)
    {
        // The client's process also holds a socket of the server's namespace. A judgement from the client's namespace must not apply to it.
        using var stray = _lab.Client.StartBeside();
        stray.Enter(_lab.Server);
        var port = _lab.Client.Listen();
        var id = stray.Connect(Lab.ClientAddress, port);
        var processes = new ProcessTable();
        processes.Scan();
        using var namespaces = new NamespaceInventory(processes, [_lab.Client.NetnsPath, _lab.Server.NetnsPath], most: 64);
        namespaces.Update(budget: null, static (_, _) => { });
        var owners = new OwnerSearch(processes, namespaces, new PassBudget(TimeProvider.System), TimeProvider.System);
        var local = End(stray.LocalEndPoint(id));
        var remote = End(new IPEndPoint(IPAddress.Parse(Lab.ClientAddress), port));
        Assert.Equal(1, Reached((ulong)_lab.Server.NetnsInode, remote));
        Assert.Equal(0, Reached((ulong)_lab.Client.NetnsInode, remote));
        // Nor to a socket with another peer than the judged one.
        Assert.Equal(0, Reached((ulong)_lab.Server.NetnsInode, remote with { Port = 1 }));

        int Reached(ulong inode, SocketEndpoint to)
        {
            var socket = new TrackedSocket(inode, new SeenSocket { Cookie = stray.Cookie(id), Local = local, Remote = to }, dump: 1);
            var counter = new Counter(new int[1]);
            List<TrackedSocket> lost = [];
            if (known)
            {
                socket.Reach.Found(stray.Pid, stray.Descriptor(id));
                owners.Revisit([socket], lost, ref counter);
                Assert.Equal(1 - counter.Count[0], lost.Count);
            }
            else
            {
                owners.Search(namespaces.Find(inode)!, new Dictionary<ulong, TrackedSocket> { [socket.Cookie] = socket }, leftOver: [], everywhere: true, pass: 1, CancellationToken.None, ref counter);
            }
            return counter.Count[0];
        }
    }

    /// <summary>As the file of an SMC socket that fell back to TCP has another inode than its TCP socket. It is rare, so it is searched for
    /// without the inode only after a search has failed.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Search_FileHasAnotherInode_IsFoundOnlyEverywhere(bool everywhere)
    {
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var processes = new ProcessTable();
        processes.Scan();
        using var namespaces = new NamespaceInventory(processes, [_lab.Client.NetnsPath], most: 64);
        namespaces.Update(budget: null, static (_, _) => { });
        using var owners = new OwnerSearch(processes, namespaces, new PassBudget(TimeProvider.System), TimeProvider.System);
        var counter = new Counter(new int[1]);
        var seen = new SeenSocket
        {
            Cookie = _lab.Client.Cookie(id),
            Local = End(_lab.Client.LocalEndPoint(id)),
            Remote = End(new IPEndPoint(IPAddress.Parse(Lab.ServerAddress), _port)),
        };
        var socket = new TrackedSocket((ulong)_lab.Client.NetnsInode, in seen, dump: 1);
        socket.Reach.Inode = uint.MaxValue;

        owners.Search(
            namespaces.Find((ulong)_lab.Client.NetnsInode)!, new() { [socket.Cookie] = socket }, [], everywhere, pass: 1, CancellationToken.None, ref counter);

        Assert.Equal(everywhere ? 1 : 0, counter.Count[0]);
    }

    /// <summary>Regression: sockets for which an earlier search had no time were passed over, and a later search began with them again.</summary>
    [Fact]
    public void Search_ComesAcrossALeftOverSocket_TakesItToo()
    {
        int first = _lab.Client.Connect(Lab.ServerAddress, _port), last = _lab.Client.Connect(Lab.ServerAddress, _port);
        var processes = new ProcessTable();
        processes.Scan();
        using var namespaces = new NamespaceInventory(processes, [_lab.Client.NetnsPath], most: 64);
        namespaces.Update(budget: null, static (_, _) => { });
        using var owners = new OwnerSearch(processes, namespaces, new PassBudget(TimeProvider.System), TimeProvider.System);
        var counter = new Counter(new int[1]);
        Dictionary<ulong, TrackedSocket> wanted = [], leftOver = [];
        foreach (var (id, into) in new[] { (last, wanted), (first, leftOver) })
        {
            var seen = new SeenSocket
            {
                Cookie = _lab.Client.Cookie(id),
                Local = End(_lab.Client.LocalEndPoint(id)),
                Remote = End(new IPEndPoint(IPAddress.Parse(Lab.ServerAddress), _port)),
            };
            var socket = new TrackedSocket((ulong)_lab.Client.NetnsInode, in seen, dump: 1);
            socket.Reach.Inode = (uint)ProcFs.SocketInode(_lab.Client.Pid, _lab.Client.Descriptor(id))!;
            into.Add(seen.Cookie, socket);
        }

        owners.Search(namespaces.Find((ulong)_lab.Client.NetnsInode)!, wanted, leftOver, everywhere: false, pass: 1, CancellationToken.None, ref counter);

        Assert.Equal((2, 0, 0), (counter.Count[0], wanted.Count, leftOver.Count));
    }

    [Fact]
    public void Namespace_Released_IsRemovedBeforeItsNumberIsReused()
    {
        var kernel = Datapaths.Kernel;
        using var cgroup = new TestCgroup();
        var path = Path.Combine(Path.GetTempPath(), $"keepalive-netns-{Environment.ProcessId}");
        File.CreateSymbolicLink(path, _lab.Client.NetnsPath);
        try
        {
            using var rig = new Rig(path, Datapaths.AttachedBpf(cgroup.Path));
            var inode = (ulong)_lab.Client.NetnsInode;
            Span<uint> scope = stackalloc uint[1];
            rig.Pass();
            Assert.True(kernel.Namespaces.TryRead(inode, scope));
            Assert.Equal(BpfAbi.KA_IN_SCOPE, scope[0]);
            File.Delete(path);
            rig.Pass();
            Assert.False(kernel.Namespaces.TryRead(inode, scope));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static SocketEndpoint End(IPEndPoint end) => new(BinaryPrimitives.ReadUInt128BigEndian(end.Address.MapToIPv6().GetAddressBytes()), (ushort)end.Port);

    public void Dispose() => _lab.Dispose();

    private bool Holds(SocketId id, NamespaceIdentity expected)
    {
        using var process = ProcessDescriptor.TryOpen(_lab.Client.Pid, out _);
        Assert.Equal(0, process!.TryDuplicate(_lab.Client.Descriptor(id), out var descriptor));
        using (descriptor)
        {
            return descriptor.IsIn(in expected);
        }
    }

    private readonly struct Counter(int[] count) : IReachedSocket
    {
        public int[] Count => count;

        public bool IsDone(in DuplicatedSocket descriptor, TrackedSocket socket) => false;

        public bool Reached(in DuplicatedSocket descriptor, TrackedSocket socket)
        {
            count[0]++;
            return false;
        }

        public void EndProcess()
        {
        }
    }
}
