using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Which changes wait, and the order of changes, for both datapaths.</summary>
public sealed class BulkSpreadTests
{
    private static readonly PassScope s_scope = new() { SpreadOver = TimeSpan.FromMilliseconds(400) };

    private readonly WatchedNamespace[] _namespaces = [new(1, null!), new(2, null!)];
    private readonly List<Change[]> _slices = [];

    [Theory]
    [InlineData(256, false)]
    [InlineData(257, true)]
    public void Collects_Number_DecidesWhetherTheyWait(int count, bool wait) =>
        Assert.Equal(wait, Spread(byNamespace: false).Collects(Changes(count, idle: 400), s_scope));

    [Theory]
    [InlineData(399)]
    [InlineData(null)]
    public void Collects_NotIdleForAnInterval_NoneWaits(int? idle)
    {
        var spread = Spread(byNamespace: false);
        var changes = Changes(1000, (uint?)idle);
        Assert.False(spread.Collects(changes, s_scope));
        Assert.False(spread.TryAdd(changes[0], s_scope));
    }

    [Fact]
    public void Collects_NothingToSpreadOver_NoneWaits() => Assert.False(Spread(byNamespace: false).Collects(Changes(1000, idle: 9000), new PassScope()));

    [Fact]
    public void Collect_Bulk_KeepsNewSocketsInTheList()
    {
        var spread = Spread(byNamespace: true);
        var changes = Changes(600, idle: 1000).Concat(Changes(5, idle: 1)).ToList();
        spread.Collect(changes, s_scope);
        Assert.Equal(5, changes.Count);
        spread.Apply(Pass(s_scope));
        Assert.Equal(600, _slices.Sum(slice => slice.Length));
    }

    [Fact]
    public void Apply_AllTogether_LongestIdleFirst()
    {
        var spread = Spread(byNamespace: false);
        Collect(spread, 1000);
        spread.Apply(Pass(s_scope));
        Assert.Equal(4, _slices.Count);
        var idle = _slices.SelectMany(slice => slice).Select(change => change.Socket.Seen.Idle!.Value).ToList();
        Assert.Equal(1000, idle.Count);
        Assert.Equal(idle.OrderDescending(), idle);
        Assert.Contains(_slices, slice => slice.Select(change => change.Watched).Distinct().Count() > 1);
    }

    [Fact]
    public void Apply_ByNamespace_EachSliceIsOfOneAndTheLongestIdleComeFirst()
    {
        var spread = Spread(byNamespace: true);
        Collect(spread, 1000);
        spread.Apply(Pass(s_scope));
        Assert.All(_slices, slice => Assert.Single(slice.Select(change => change.Watched).Distinct()));
        Assert.All(_slices, slice => Assert.Equal(slice.OrderByDescending(change => change.Socket.Seen.Idle).Select(change => change.Socket), slice.Select(change => change.Socket)));
        Assert.Equal(_slices.OrderByDescending(slice => slice[0].Socket.Seen.Idle), _slices);
        Assert.Equal(1000, _slices.Sum(slice => slice.Length));
    }

    [Fact]
    public void Apply_Stopped_RestIsTriedInTheNextPass()
    {
        using var stop = new CancellationTokenSource();
        var spread = new BulkSpread<Change>(TimeProvider.System, byNamespace: true, (slice, _) =>
        {
            _slices.Add(slice);
            stop.Cancel();
        });
        Collect(spread, 1000);
        Array.ForEach(_namespaces, watched => watched.NextTry = long.MaxValue);
        spread.Apply(Pass(s_scope with { Stop = stop.Token }));
        Assert.Single(_slices);
        Assert.All(_namespaces, watched => Assert.Equal(8, watched.NextTry));
    }

    [Fact]
    public void Apply_SliceRefused_OthersAreMade()
    {
        var slices = 0;
        var spread = new BulkSpread<Change>(TimeProvider.System, byNamespace: false, (_, _) =>
        {
            slices++;
            throw new LinuxException("write", Errno.EINVAL);
        });
        Collect(spread, 1000);
        spread.Apply(Pass(s_scope));
        Assert.Equal(4, slices);
    }

    /// <summary>Regression: after a gap between two agents, a start waited an interval for sockets whose probes were minutes away.</summary>
    [Theory]
    [InlineData(6_000u, 60, false)]
    [InlineData(59_999u, 60, false)]
    [InlineData(60_000u, 60, true)]
    [InlineData(600u, null, true)]
    [InlineData(399u, null, false)]
    public void ProbesAtOnce_Pidfd_IfIdleForThePolicysTime(uint idle, int? time, bool probes)
    {
        var policy = Rig.PolicyFor("203.0.113.1", time is null ? "interval: 5s" : $"time: {time}s");
        var change = new FoundSocket(_namespaces[0], Socket(1, idle));
        change.Socket.Standing.Select(policy.Policy.Rules.Single(), policy);
        Assert.Equal(probes, change.ProbesAtOnce(s_scope.SpreadOver));
    }

    [Theory]
    [InlineData(59_999u, true, false)]
    [InlineData(60_000u, true, true)]
    [InlineData(null, true, true)]
    [InlineData(60_000u, false, false)]
    public void ProbesAtOnce_Bpf_IfIdleForTheTimeThatIsWritten(uint? idle, bool on, bool probes)
    {
        var verdict = new Verdict(SocketOutcome.Managed, new KeepaliveOptions(on, 60, 5, 3), null);
        Assert.Equal(probes, new PlannedChange(_namespaces[0], Socket(1, idle), new Decision(default, userTimeout: null, in verdict)).ProbesAtOnce(s_scope.SpreadOver));
    }

    private BulkSpread<Change> Spread(bool byNamespace) => new(TimeProvider.System, byNamespace, (slice, _) => _slices.Add(slice));

    private void Collect(BulkSpread<Change> spread, int count)
    {
        var random = new Random(1);
        for (var i = 0; i < count; i++)
        {
            Assert.True(spread.TryAdd(new Change(_namespaces[random.Next(2)], Socket((uint)i, (uint)random.Next(400, 100_000))), s_scope));
        }
    }

    private List<Change> Changes(int count, uint? idle) => [.. Enumerable.Range(0, count).Select(i => new Change(_namespaces[0], Socket((uint)i, idle)))];

    private static TrackedSocket Socket(ulong cookie, uint? idle) =>
        new(1, new SeenSocket { Cookie = cookie, Local = default, Remote = default, State = TcpState.Established, Idle = idle }, dump: 1);

    private static PassContext Pass(PassScope scope) => new(7, PolicySnapshot.Empty, scope, new NoSink());

    private readonly record struct Change(WatchedNamespace Watched, TrackedSocket Socket) : ISocketChange
    {
        public bool ProbesAtOnce(TimeSpan spreadOver) => Socket.Seen.Idle >= spreadOver.TotalMilliseconds;
    }

    private sealed class NoSink : ISocketSink
    {
        public void BeginNamespace(ulong inode)
        {
        }

        public void Socket(in SocketRecord record)
        {
        }

        public void EndNamespace(ulong inode)
        {
        }

        public void NamespaceGone(ulong inode)
        {
        }
    }
}
