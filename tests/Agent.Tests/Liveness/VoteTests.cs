using Keepalive.Agent.Liveness;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Tests.Apply;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Liveness;

/// <summary>Votes of workloads about one far end, with a keepalive time of 60 s and an interval of 10 s. All times are in
/// seconds.</summary>
public sealed class VoteTests
{
    private const long Second = 1_000_000_000;
    private const long Interval = 10 * Second;

    private static readonly CompiledRule s_rule = Rig.PolicyFor("10.0.0.0/8", "time: 60s, interval: 10s, probes: 3").Policy.Rules[0];
    private static readonly SocketEndpoint s_remote = new((UInt128)0xFFFF_0A00_0001, 443);

    private readonly EndpointPool _pool = new();
    private readonly WatchedScope _scope = new(1, 1);
    private ulong _cookie;

    [Fact]
    public void Died_OnlyConnectionOfTheOnlyWorkload_IsOutAtOnceAndBackWithTheNextAnswer()
    {
        var a = Connect("uid:1", heard: 0);
        Die(a, silentSince: 60, now: 90);
        Assert.False(IsIn);
        Close(a, 91);
        Assert.False(IsIn);

        var anew = Connect("uid:1", heard: 100);
        Assert.True(IsIn);
        Assert.Equal(Vote.In, anew.Vote!.Says);
    }

    /// <summary>Regression: a balancer dropped the state of one connection of fifty. This took a healthy endpoint out until the next probe
    /// of another connection.</summary>
    [Fact]
    public void Died_AnotherConnectionOfTheWorkloadAnswers_StaysIn()
    {
        var pool = Enumerable.Range(0, 50).Select(_ => Connect("uid:1", heard: 50)).ToList();
        Die(pool[7], silentSince: 60, now: 90);
        Assert.True(IsIn);
        var asked = Assert.Single(Ask(91));
        Assert.NotSame(pool[7], asked);
        Hear(asked, 91.05);
        Tick(200);
        Assert.True(IsIn);
        Assert.Empty(Ask(201));
    }

    [Fact]
    public void Died_SiblingHeardSinceTheFirstUnansweredProbe_IsNotEvenAsked()
    {
        var (dying, sibling) = (Connect("uid:1", heard: 50), Connect("uid:1", heard: 50));
        Hear(sibling, 61);
        Die(dying, silentSince: 60, now: 90);
        Assert.True(IsIn);
        Assert.Empty(Ask(91));
        Tick(200);
        Assert.True(IsIn);
    }

    [Fact]
    public void Died_SiblingStaysSilent_IsOutAfterAProbeInterval()
    {
        var (dying, _) = (Connect("uid:1", heard: 50), Connect("uid:1", heard: 50));
        Die(dying, silentSince: 60, now: 90);
        Assert.Single(Ask(92));
        Tick(101.9);
        Assert.True(IsIn);
        Tick(102);
        Assert.False(IsIn);
    }

    /// <summary>Regression: connections of one process with its own keepalive values kept a destination out of the pool most of the
    /// time.</summary>
    [Fact]
    public void Died_OneWorkloadOfTwoAgainAndAgain_StaysInBecauseTheOtherAnswers()
    {
        var honest = Connect("uid:1", heard: 0);
        for (var at = 10; at < 600; at += 5)
        {
            var forged = Connect("uid:65534", heard: at);
            Die(forged, silentSince: at + 2, now: at + 4);
            Close(forged, at + 4);
            foreach (var asked in Ask(at + 4))
            {
                Assert.Same(honest, asked);
                Hear(asked, at + 4.01);
            }
            Tick(at + 4.5);
            Assert.True(IsIn, $"at {at}");
        }
    }

    [Fact]
    public void Ask_DeathsInARow_AtMostOneProbeInAnInterval()
    {
        var honest = Connect("uid:1", heard: 0);
        var probes = 0;
        for (var at = 10; at < 110; at++)
        {
            var forged = Connect("uid:65534", heard: at);
            Die(forged, silentSince: at + 0.2, now: at + 0.5);
            Close(forged, at + 0.5);
            foreach (var asked in Ask(at + 0.6))
            {
                probes++;
                Hear(asked, at + 0.61);
            }
        }
        Assert.InRange(probes, 9, 10);
        Assert.Equal(Vote.In, honest.Vote!.Says);
    }

    [Fact]
    public void Died_EveryWorkloadIsSilent_IsOutAfterAnIntervalAndTheSilentOnesAbstain()
    {
        var all = Enumerable.Range(0, 10).Select(number => Connect($"uid:{number}", heard: 50)).ToList();
        Die(all[0], silentSince: 60, now: 90);
        Assert.Equal(9, Ask(91).Count);
        Tick(100);
        Assert.True(IsIn);
        Tick(101);
        Assert.False(IsIn);
        Assert.Equal(9, all.Count(one => one.Vote!.Says == Vote.Abstains));
    }

    [Fact]
    public void Died_HalfSayOut_TieLeavesItIn()
    {
        var (a, b) = (Connect("uid:1", heard: 50), Connect("uid:2", heard: 50));
        Die(a, silentSince: 60, now: 90);
        Hear(Assert.Single(Ask(91)), 91);
        Tick(102);
        Assert.True(IsIn);
        var c = Connect("uid:3", heard: 95);
        Die(c, silentSince: 100, now: 130);
        Hear(Assert.Single(Ask(131)), 131);
        Tick(150);
        // Two votes are out, one is in.
        Assert.False(IsIn);
        Hear(b, 160);
        Assert.False(IsIn);   // the vote was in before, so this changes nothing
        Hear(a, 170);
        Assert.True(IsIn);
    }

    [Fact]
    public void Heard_AfterAllSaidOut_FirstAnswerBringsItBackAndLostProbesTakeItOutAgain()
    {
        var all = Enumerable.Range(0, 3).Select(number => (Dying: Connect($"uid:{number}", heard: 50), Left: Connect($"uid:{number}", heard: 50))).ToList();
        foreach (var (dying, left) in all)
        {
            left.State = ConnectionLiveness.Probing(1);   // it cannot be asked
            Die(dying, silentSince: 60, now: 90);
            Close(dying, 90);
        }
        Assert.False(IsIn);
        Hear(all[0].Left, 95);
        Assert.True(IsIn);
        // A lost probe from before the answer does not count. Two lost probes from after it do.
        Lose(all[1].Left, probedAt: 94, now: 104);
        Assert.True(IsIn);
        Lose(all[1].Left, probedAt: 104, now: 114);
        Assert.True(IsIn);   // a tie
        Lose(all[2].Left, probedAt: 104, now: 114);
        Assert.False(IsIn);
        // This workload voted in all the time, and is outvoted.
        Hear(all[0].Left, 120);
        Assert.False(IsIn);
    }

    [Fact]
    public void Handshake_OfAConnectionNoPassHasMet_BringsItBack()
    {
        var a = Connect("uid:1", heard: 0);
        Die(a, silentSince: 60, now: 90);
        Close(a, 90);
        _pool.HeardHandshake(s_remote, "uid:0", 100 * Second);
        Assert.True(IsIn);
        Assert.Equal("uid:1", Assert.Single(_pool.Find(s_remote)!.Votes).Workload);
    }

    [Fact]
    public void Leave_WorkloadThatSaidIn_DoesNotTakeItOut()
    {
        var (a, b) = (Connect("uid:1", heard: 50), Connect("uid:2", heard: 50));
        Die(a, silentSince: 60, now: 90);
        Hear(Assert.Single(Ask(91)), 91);
        Close(a, 92);
        var c = Connect("uid:3", heard: 93);
        Close(b, 94);
        Close(c, 95);
        Tick(200);
        Assert.Null(_pool.Find(s_remote));   // no vote is against it, and no connection uses it
    }

    [Fact]
    public void Of_Workload_IsByItsOwnConnectionsAlone()
    {
        var (a, b) = (Connect("uid:1", heard: 50), Connect("uid:2", heard: 50));
        Die(a, silentSince: 60, now: 90);
        Hear(Assert.Single(Ask(91)), 91);
        Assert.True(IsIn);
        var standing = _pool.Find(s_remote)!;
        Assert.True(standing.Of("uid:1")!.Value.IsSilent);
        Assert.False(standing.Of("uid:2")!.Value.IsSilent);
        Assert.Null(standing.Of("uid:3"));
        Assert.Equal("uid:2", b.Vote!.Workload);
    }

    [Theory]
    [InlineData(1, false, 60, SocketOutcome.Managed)]   // one lost probe would end it
    [InlineData(3, true, 60, SocketOutcome.Managed)]
    [InlineData(3, false, 3, SocketOutcome.Managed)]    // it soon probes by itself
    [InlineData(3, false, 60, SocketOutcome.Kept)]
    public void CanBeAsked_ConnectionThatALostProbeWouldHarm_IsNot(int probes, bool hasShortUserTimeout, int time, object outcome)
    {
        var connection = Connect("uid:1", heard: 50);
        (connection.Limit, connection.HasShortUserTimeout, connection.Time, connection.Outcome) =
            (new DeathLimit(probes), hasShortUserTimeout, time * Second, (SocketOutcome)outcome);
        Assert.False(connection.CanBeAsked(52 * Second));
    }

    [Fact]
    public void VoteOf_MoreWorkloadsThanItKeeps_ShareOne()
    {
        for (var number = 0; number < FarEnd.MaxVotes + 50; number++)
        {
            Connect($"uid:{number}", heard: 1);
        }
        Assert.Equal(FarEnd.MaxVotes + 1, _pool.Find(s_remote)!.Votes.Length);
        Assert.NotNull(_pool.Find(s_remote)!.Of(FarEnd.Others));
    }

    private bool IsIn => _pool.Find(s_remote)!.IsIn;

    private WatchedConnection Connect(string workload, double heard)
    {
        var record = new SocketRecord
        {
            Namespace = 1,
            Cookie = ++_cookie,
            Local = new SocketEndpoint((UInt128)0xFFFF_0A00_0002, (ushort)(10_000 + _cookie)),
            Remote = s_remote,
            State = TcpState.Established,
            Rule = s_rule,
        };
        var connection = new WatchedConnection(in record, _scope, _pool.Enter(s_rule, s_remote))
        {
            Limit = new DeathLimit(3),
            Interval = Interval,
            Time = 60 * Second,
            Outcome = SocketOutcome.Managed,
            TcpState = TcpState.Established,
        };
        _pool.Enter(connection, workload);
        Hear(connection, heard);
        return connection;
    }

    private void Die(WatchedConnection connection, double silentSince, double now)
    {
        connection.State = new ConnectionLiveness(LivenessPhase.Dead, 3, DeathCause.Probes);
        _pool.Died(connection.Vote!, At(silentSince), Interval, At(now));
    }

    private void Close(WatchedConnection connection, double now)
    {
        _pool.Leave(connection, At(now));
        _pool.Leave(connection.Endpoint!, At(now));
    }

    private void Hear(WatchedConnection connection, double at)
    {
        connection.HeardAt = At(at);
        _pool.Heard(connection.Vote!, At(at));
    }

    private void Lose(WatchedConnection connection, double probedAt, double now) => _pool.Lost(connection.Vote!, At(probedAt), At(now));

    /// <summary>Runs a pass that asks all requested connections.</summary>
    private List<WatchedConnection> Ask(double now)
    {
        var asked = _pool.Choose(At(now)).ToList();
        asked.ForEach(connection => connection.Vote!.Asked(At(now)));
        _pool.AwaitAnswers(At(now));
        return asked;
    }

    private void Tick(double now) => _pool.CheckOverdue(At(now));

    private static long At(double seconds) => (long)(seconds * Second);
}
