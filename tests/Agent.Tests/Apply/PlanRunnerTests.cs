using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Many changes that go through the queue, whose order the kernel's walk may not have.</summary>
[Collection(Datapaths.Kernels)]
public sealed class PlanRunnerTests : IDisposable
{
    private const int Count = 600;

    private static readonly KeepaliveOptions s_found = new(false, 7200, 75, 9);
    private static readonly KeepaliveOptions s_set = new(true, 700, 10, 20);
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);
    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);

    private readonly KernelPrograms _kernel;
    private readonly NamespaceThread _thread = new();
    private readonly PlanRunner _runner;
    private readonly Lab _lab;
    private readonly WatchedNamespace _watched;
    private readonly (int First, int Last) _ids;
    private readonly List<ulong> _cookies = [];

    public PlanRunnerTests()
    {
        _kernel = Datapaths.Kernel;
        _runner = new PlanRunner(_kernel, _thread, new SocketLedger(state: null, [], new ApplyCounts()));
        _lab = new Lab();
        _watched = new WatchedNamespace((ulong)_lab.Client.NetnsInode, NamespaceSockets.Open(_lab.Client.NetnsPath));
        _ids = _lab.Client.ConnectMany(Lab.ServerAddress, _lab.Server.Listen(), Count);
        _kernel.SettingsMap.Update(0u, new BpfAbi.ka_settings { states = (uint)TcpStates.Connections });
        var visitor = new Cookies(_cookies);
        using var run = _thread.Begin(_watched.Handle, _kernel.Reader);
        BpfIterator.Read<BpfAbi.ka_socket, Cookies>(run, ref visitor);
        Assert.Equal(Count, _cookies.Count);
    }

    [Theory]
    [InlineData("as read")]
    [InlineData("reversed")]
    [InlineData("by chance")]
    [InlineData("every second moved to the end")]
    public void Run_AnyOrder_ChangesEachSocket(string order)
    {
        var random = new Random(1);
        List<ulong> ordered = order switch
        {
            "as read" => _cookies,
            "reversed" => [.. _cookies.AsEnumerable().Reverse()],
            "by chance" => [.. _cookies.OrderBy(_ => random.Next())],
            _ => [.. _cookies.Where((_, i) => i % 2 == 0), .. _cookies.Where((_, i) => i % 2 != 0)],
        };
        var changes = Changes(ordered);
        Assert.Equal(Count, _runner.Run(changes, new PassScope(), inOrder: true));
        Assert.All(changes, change => Assert.Equal((SocketOutcome.Managed, false), (change.Socket.Standing.Outcome, change.Socket.Standing.IsUnsettled)));
        AssertAllHave(s_guide);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(50)]
    public void Run_SocketsInARowAreGone_ChangesTheOthers(int gone)
    {
        var changes = Changes([.. _cookies.Take(200), .. Enumerable.Range(1, gone).Select(i => ulong.MaxValue - (ulong)i), .. _cookies.Skip(200)]);
        _runner.Run(changes, new PassScope(), inOrder: true);
        Assert.Equal(Count, changes.Count(change => change.Socket.Standing is { Outcome: SocketOutcome.Managed, IsUnsettled: false }));
        Assert.Equal(gone, changes.Count(change => change.Socket.Standing.IsUnsettled));
        AssertAllHave(s_guide);
    }

    [Fact]
    public void Run_ValuesWereChangedMeanwhile_LeavesThem()
    {
        for (var id = _ids.First; id <= _ids.Last; id++)
        {
            _lab.Client.Set(id, HolderOption.Count, 5);
        }
        var changes = Changes(_cookies);
        _runner.Run(changes, new PassScope(), inOrder: true);
        Assert.All(changes, change => Assert.True(change.Socket.Standing.IsUnsettled));
        AssertAllHave(s_untouched with { Count = 5 });
    }

    [Fact]
    public void Run_QueueOfAnEarlierRun_IsNotCarriedOutAgain()
    {
        _runner.Run(Changes(_cookies), new PassScope(), inOrder: true);
        for (var id = _ids.First; id <= _ids.Last; id++)
        {
            _lab.Client.Set(id, HolderOption.Keepalive, 0);
            _lab.Client.Set(id, HolderOption.Idle, s_found.Time);
            _lab.Client.Set(id, HolderOption.Interval, s_found.Interval);
            _lab.Client.Set(id, HolderOption.Count, s_found.Probes);
        }
        // Few, so not by the queue.
        _runner.Run(Changes(_cookies[..3]), new PassScope());
        Assert.Equal(3, Enumerable.Range(_ids.First, Count).Count(id => _lab.Client.Get(id) == s_guide));
    }

    public void Dispose()
    {
        _watched.Dispose();
        _lab.Dispose();
        _thread.Dispose();
    }

    private PlannedChange[] Changes(List<ulong> cookies)
    {
        var decision = new Decision(s_found, userTimeout: null, new Verdict(SocketOutcome.Managed, s_set, SocketMemory.OfAgent(s_found, s_set)));
        return [.. cookies.Select(cookie =>
            new PlannedChange(_watched, new TrackedSocket(_watched.Inode, new SeenSocket { Cookie = cookie, Local = default, Remote = default }, dump: 1), decision))];
    }

    private void AssertAllHave(KeepaliveValues values) =>
        Assert.All(Enumerable.Range(_ids.First, Count), id => Assert.Equal(values, _lab.Client.Get(id)));

    private readonly struct Cookies(List<ulong> cookies) : IBpfRecordVisitor<BpfAbi.ka_socket>
    {
        public void Visit(in BpfAbi.ka_socket record) => cookies.Add(record.tuple.cookie);
    }
}
