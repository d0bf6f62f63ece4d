using System.Globalization;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Metrics;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Sockets;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Receivers that get only changes know the same as those that get all sockets.</summary>
public abstract class ChangesTests : IDisposable
{
    private protected const string Elsewhere = "10.77.9.9";

    private readonly Lab _lab = CreateLab();
    private readonly int _port;
    private readonly Rig _rig;

    private protected Lab Bed => _lab;

    private protected int Port => _port;

    private protected Rig Rig => _rig;

    private protected ChangesTests(Func<Lab, DatapathFactory> create)
    {
        _lab.AddServerAddress(Elsewhere);
        _port = _lab.Server.Listen();
        _rig = new Rig(_lab.Client.NetnsPath, create(_lab)) { Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues) };
    }

    [Fact]
    public void Passes_ConnectionsComeAndGo_LeaveWhatAFullPassFinds()
    {
        var random = new Random(1);
        var open = new List<int>();
        var follower = new Receivers();
        for (var round = 0; round < 4; round++)
        {
            for (var pass = 0; pass < 5; pass++)
            {
                for (var i = random.Next(1, 4); i > 0; i--)
                {
                    open.Add(_lab.Client.Connect(random.Next(3) == 0 ? Elsewhere : Lab.ServerAddress, _port));
                }
                for (var i = random.Next(3); i > 0 && open.Count > 3; i--)
                {
                    var index = random.Next(open.Count);
                    _lab.Client.Close(open[index]);
                    open.RemoveAt(index);
                }
                follower.Take(_rig);
            }
            var fresh = new Receivers();
            fresh.Take(_rig, new PassScope { Full = true });
            Assert.Equal(fresh.Text, follower.Text);
        }
        Assert.True(follower.Changes >= 12, $"{follower.Changes} passes reported changes only");
        Assert.True(follower.Most < open.Count, $"{follower.Most} records in a pass with changes, and {open.Count} connections");
    }

    /// <summary>An iterator shows the values of sockets that a pass has nothing to do with, too.</summary>
    private protected void ApplicationSetsAValue_IsReported()
    {
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var follower = new Receivers();
        follower.Take(_rig);
        Assert.Equal([SocketOutcome.Managed], follower.Outcomes);

        _lab.Client.Set(id, HolderOption.Idle, 33);
        _lab.Client.Connect(Lab.ServerAddress, _port);
        follower.Take(_rig);
        Assert.Equal(1, follower.Changes);
        Assert.Equal([SocketOutcome.Managed, SocketOutcome.Application], follower.Outcomes);
    }

    public virtual void Dispose()
    {
        _rig.Dispose();
        _lab.Dispose();
        GC.SuppressFinalize(this);
    }

    private static Lab CreateLab()
    {
        Live.Require();
        return new Lab();
    }

    /// <summary>Random actions of applications on both kinds of connections: after each pass, the receivers know what a full pass finds.</summary>
    private protected void RandomActions(int seed, int passes)
    {
        var random = new Random(seed);
        var open = new List<int>();
        var follower = new Receivers();
        // A connection that stays: without any, the agent watches the namespace for some time only.
        _lab.Client.Connect(Lab.ServerAddress, _port);
        follower.Take(_rig);
        for (var pass = 0; pass < passes; pass++)
        {
            for (var i = random.Next(4); i > 0; i--)
            {
                open.Add(_lab.Client.Connect(random.Next(6) == 0 ? Elsewhere : Lab.ServerAddress, _port));
            }
            for (var i = random.Next(3); i > 0 && open.Count > 0; i--)
            {
                var index = random.Next(open.Count);
                var id = open[index];
                switch (random.Next(6))
                {
                    case 0:
                        _lab.Client.Set(id, HolderOption.Idle, random.Next(1, 900));
                        continue;
                    case 1:
                        _lab.Client.HalfClose(id);
                        continue;
                    case 2:
                        _lab.Client.Abort(id);
                        break;
                    default:
                        _lab.Client.Close(id);
                        break;
                }
                open.RemoveAt(index);
            }
            follower.Take(_rig);
            var fresh = new Receivers();
            fresh.Take(_rig, new PassScope { Full = true });
            Assert.Equal(fresh.Text, follower.Text);
            // Its knowledge counts again.
            follower.Take(_rig, new PassScope { Full = true });
        }
        TestContext.Current.SendDiagnosticMessage($"{follower.NotDumped} of {passes} passes did not read the namespace");
        Assert.True(follower.NotDumped > 0, $"each of {passes} passes has read the namespace");
    }

    /// <summary>The receivers of the service, and a count of the records.</summary>
    private protected sealed class Receivers : ISocketSink
    {
        private readonly SocketTally _tally = new();
        private readonly UnmanagedTally _unmanaged = new();
        private readonly LivenessMonitor _monitor = new(new LivenessLog(NullLogger.Instance), TimeProvider.System, captures: true);
        private readonly FanOut _all;
        private int _records;
        private bool _isComplete;

        public Receivers() => _all = new FanOut(_tally, _unmanaged, _monitor);

        public bool TakesChanges => true;

        /// <summary>Frames with changes only.</summary>
        public int Changes { get; private set; }

        /// <summary>Passes that did not read the namespace.</summary>
        public int NotDumped { get; private set; }

        /// <summary>The most records in one of them.</summary>
        public int Most { get; private set; }

        public IEnumerable<SocketOutcome> Outcomes => _monitor.ListConnections().Select(row => row.Outcome).Order();

        /// <summary>All that they know.</summary>
        public string Text => string.Join(
            '\n',
            _monitor.ListConnections().Select(row => string.Create(CultureInfo.InvariantCulture, $"{row.Cookie} {row.Local} {row.Remote} {row.Outcome} {row.Values} {row.Liveness.Unanswered}"))
                .Concat(_tally.Now.States.Select(state => $"{state.Key} {state.Value}"))
                .Concat(_tally.Now.Unprotected.Select(one => $"{one.Key} {one.Value}"))
                .Concat(_unmanaged.List().Select(row => row.ToString()))
                .Concat(_monitor.Demands().Select(demand => $"{demand.Inode} {demand.Locals.Count} {demand.Remotes.Count}"))
                .Order(StringComparer.Ordinal));

        public void Take(Rig rig, PassScope? scope = null)
        {
            var summary = rig.PassTo(this, scope);
            _tally.Passed(in summary, new ApplyCounts());
            _monitor.EndPass();
            NotDumped += summary.NamespacesDumped == 0 ? 1 : 0;
        }

        public void BeginNamespace(ulong inode)
        {
            _isComplete = true;
            _all.BeginNamespace(inode);
        }

        public void BeginChanges(ulong inode)
        {
            (_isComplete, _records) = (false, 0);
            Changes++;
            _all.BeginChanges(inode);
        }

        public void Socket(in SocketRecord record)
        {
            _records += record.Rule is null ? 0 : 1;
            _all.Socket(in record);
        }

        public void Gone(ulong inode, ulong cookie) => _all.Gone(inode, cookie);

        public void EndNamespace(ulong inode)
        {
            Most = _isComplete ? Most : Math.Max(Most, _records);
            _all.EndNamespace(inode);
        }

        public void NamespaceGone(ulong inode) => _all.NamespaceGone(inode);
    }
}

/// <summary>The changes that dumps show.</summary>
public sealed class PidfdChangesTests() : ChangesTests(_ => Datapaths.Pidfd);

/// <summary>The changes that iterators show.</summary>
[Collection(Datapaths.Kernels)]
public sealed class BpfChangesTests() : ChangesTests(_ => Datapaths.Bpf)
{
    [Fact]
    public void Pass_ApplicationSetsAValue_IsReported() => ApplicationSetsAValue_IsReported();
}

/// <summary>The same with connections that are set, and reported, when they are established.</summary>
[Collection(Datapaths.Kernels)]
public sealed class AttachedChangesTests : ChangesTests
{
    private readonly TestCgroup _cgroup;

    public AttachedChangesTests()
        : this(CreateCgroup())
    {
    }

    private AttachedChangesTests(TestCgroup cgroup)
        : base(lab =>
        {
            var create = Datapaths.AttachedBpf(cgroup.Path);
            cgroup.Add(lab.Client.Pid);
            return create;
        }) => _cgroup = cgroup;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Passes_RandomActions_LeaveWhatAFullPassFinds(int seed) => RandomActions(seed, passes: 25);

    [Fact]
    public void Pass_OnlyReportedChanges_DoesNotReadTheNamespace()
    {
        var follower = FollowerOfOne();
        var first = Bed.Client.Connect(Lab.ServerAddress, Port);
        follower.Take(Rig);
        Assert.Equal([SocketOutcome.Managed, SocketOutcome.Managed], follower.Outcomes);
        var second = Bed.Client.Connect(Lab.ServerAddress, Port);
        Bed.Client.Abort(first);
        follower.Take(Rig);
        Assert.Equal([SocketOutcome.Managed, SocketOutcome.Managed], follower.Outcomes);
        Bed.Client.Abort(second);
        Bed.Client.Abort(Bed.Client.Connect(Lab.ServerAddress, Port));
        follower.Take(Rig);
        Assert.Equal([SocketOutcome.Managed], follower.Outcomes);
        Assert.Equal(3, follower.NotDumped);

        // No record shows a connection that no rule selects.
        Bed.Client.Connect(Elsewhere, Port);
        follower.Take(Rig);
        Assert.Equal(3, follower.NotDumped);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Pass_ApplicationWritesAValue_ReadsTheNamespace(bool beforeThePass)
    {
        var follower = FollowerOfOne();
        var id = Bed.Client.Connect(Lab.ServerAddress, Port);
        if (!beforeThePass)
        {
            follower.Take(Rig);
            Assert.Equal(1, follower.NotDumped);
        }
        Bed.Client.Set(id, HolderOption.Keepalive, 1);
        Bed.Client.Set(id, HolderOption.Idle, 33);
        follower.Take(Rig);
        Assert.Equal([SocketOutcome.Managed, beforeThePass ? SocketOutcome.Kept : SocketOutcome.Application], follower.Outcomes);
        Assert.Equal(beforeThePass ? 0 : 1, follower.NotDumped);
    }

    /// <summary>Over loopback, because other connections that the other end has closed are read in any case.</summary>
    [Fact]
    public void Pass_OtherEndHasClosed_KnowsTheConnection()
    {
        const string address = "127.9.9.9";
        Rig.Policy = Apply.Rig.PolicyFor(address, PolicyText.GuideValues);
        using var server = Bed.Client.StartBeside();
        var port = server.Listen(address);
        var follower = new Receivers();
        follower.Take(Rig);
        var id = Bed.Client.Connect(address, port);
        Eventually.True(() => server.Count().Accepted == 1, TimeSpan.FromSeconds(5));
        server.HalfClose(SocketId.Accepted(0));
        follower.Take(Rig);
        Assert.Equal([SocketOutcome.Managed], follower.Outcomes);
        Bed.Client.Close(id);
        follower.Take(Rig);
        Assert.Empty(follower.Outcomes);
        Bed.Client.Connect(address, port);
        follower.Take(Rig);
        Assert.Equal([SocketOutcome.Managed], follower.Outcomes);
        Assert.True(follower.NotDumped > 0);
    }

    [Fact]
    public void Restart_AfterReportsOnly_RestoresWhatTheApplicationHad()
    {
        var follower = FollowerOfOne();
        var id = Bed.Client.Connect(Lab.ServerAddress, Port);
        follower.Take(Rig);
        Assert.Equal(1, follower.NotDumped);
        Rig.Restart();
        Rig.Policy = Agent.Policies.PolicySnapshot.Empty;
        Rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal(new KeepaliveValues(false, 7200, 75, 9), Bed.Client.Get(id));
    }

    /// <summary>A receiver that knows one connection: the agent knows the namespace's address by it.</summary>
    private Receivers FollowerOfOne()
    {
        Bed.Client.Connect(Lab.ServerAddress, Port);
        var follower = new Receivers();
        follower.Take(Rig);
        return follower;
    }

    private static TestCgroup CreateCgroup()
    {
        Datapaths.RequireBpf();
        return new TestCgroup();
    }

    public override void Dispose()
    {
        base.Dispose();
        _cgroup.Dispose();
        GC.SuppressFinalize(this);
    }
}
