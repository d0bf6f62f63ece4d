using Keepalive.Agent.Liveness;
using Keepalive.Agent.Tests.Apply;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Liveness;

/// <summary>Endpoints in and out of the pool.</summary>
public sealed class EndpointPoolTests
{
    private static readonly CompiledRule s_rule = Rig.PolicyFor("10.0.0.0/8", "time: 60s").Policy.Rules[0];

    [Fact]
    public void TakeOut_DeadEndpoint_StaysOutUntilItAnswers()
    {
        var pool = new EndpointPool();
        var endpoint = pool.Enter(s_rule, Remote(1));
        pool.Enter(s_rule, Remote(1));
        pool.Enter(s_rule, Remote(2));

        Assert.True(pool.TakeOut(endpoint, now: 10));
        Assert.False(pool.TakeOut(endpoint, now: 20));
        Assert.Equal([false, true], pool.Standings().Select(standing => standing.IsIn));
        Assert.Empty(pool.Answered(Remote(2), 30));
        Assert.Empty(pool.Answered(Remote(1), 20));   // sent before it died
        Assert.Equal([endpoint], pool.Answered(Remote(1), 21));
        Assert.Empty(pool.Answered(Remote(1), 22));
        Assert.Equal([true, true], pool.Standings().Select(standing => standing.IsIn));
    }

    [Fact]
    public void Leave_LastConnection_OnlyEndpointsThatAreOutAreKept()
    {
        var pool = new EndpointPool();
        var (lost, kept) = (pool.Enter(s_rule, Remote(1)), pool.Enter(s_rule, Remote(2)));
        pool.TakeOut(lost, now: 10);
        pool.Leave(lost, now: 10);
        pool.Leave(kept, now: 10);

        Assert.Equal(Remote(1), Assert.Single(pool.Standings()).Remote);
        Assert.Single(pool.Answered(Remote(1), 11));
        Assert.Equal(0, pool.Out);
        // Back in the pool, and reported so before the next pass has found its new connection.
        pool.Expire(now: 11 + (59 * 1_000_000_000L));
        Assert.True(Assert.Single(pool.Standings()).IsIn);
        Assert.True(pool.Find(Remote(1))!.Value.IsIn);
        pool.Expire(now: 12 + (60 * 1_000_000_000L));
        Assert.Empty(pool.Standings());
    }

    [Fact]
    public void Standings_NothingChanged_AreTheSameObject()
    {
        var pool = new EndpointPool();
        var endpoint = pool.Enter(s_rule, Remote(1));
        var before = pool.Standings();
        pool.Enter(s_rule, Remote(1));
        Assert.Same(before, pool.Standings());
        pool.TakeOut(endpoint, now: 1);
        Assert.NotSame(before, pool.Standings());
        Assert.True(Assert.Single(before).IsIn);
    }

    [Fact]
    public void Find_EndpointOfTwoDestinations_IsOutWhereAnyIs()
    {
        var other = s_rule with { Destination = "another/one" };
        var pool = new EndpointPool();
        Assert.Null(pool.Find(Remote(1)));
        var (a, b) = (pool.Enter(s_rule, Remote(1)), pool.Enter(other, Remote(1)));
        Assert.Equal(new RemoteStanding(2, 0, 0), pool.Find(Remote(1)));
        pool.TakeOut(a, now: 10);
        Assert.Equal(new RemoteStanding(2, 1, 10), pool.Find(Remote(1)));
        pool.Leave(b, now: 11);
        Assert.False(pool.Find(Remote(1))!.Value.IsIn);
        pool.Leave(a, now: 12);
        Assert.False(pool.Find(Remote(1))!.Value.IsIn);
        pool.Answered(Remote(1), 13);
        Assert.Equal(new RemoteStanding(1, 0, 10), pool.Find(Remote(1)));
    }

    [Fact]
    public void Expire_OutAndWithoutConnectionForLong_ExpiresUnlessItCameBack()
    {
        var pool = new EndpointPool();
        foreach (int number in new[] { 1, 2 })
        {
            var endpoint = pool.Enter(s_rule, Remote(number));
            pool.TakeOut(endpoint, now: 10);
            pool.Leave(endpoint, now: 20);
        }
        var again = pool.Enter(s_rule, Remote(2));
        pool.Leave(again, now: 30);
        pool.Expire(20 + EndpointPool.Memory);
        Assert.Equal(2, pool.Standings().Count);
        pool.Expire(21 + EndpointPool.Memory);
        Assert.Null(pool.Find(Remote(1)));
        Assert.NotNull(pool.Find(Remote(2)));
        pool.Expire(31 + EndpointPool.Memory);
        Assert.Empty(pool.Standings());
        Assert.Equal(0, pool.Out);
    }

    [Fact]
    public void Retain_PolicyGone_OnlyEndpointsWithConnectionsStay()
    {
        var pool = new EndpointPool();
        var (absent, used) = (pool.Enter(s_rule, Remote(1)), pool.Enter(s_rule, Remote(2)));
        pool.TakeOut(absent, now: 10);
        pool.TakeOut(used, now: 10);
        pool.Leave(absent, now: 20);
        pool.Retain(Rig.PolicyFor("10.0.0.0/8", "time: 60s").Policy);
        Assert.Equal(2, pool.Standings().Count);
        pool.Retain(CompiledPolicy.Empty);
        Assert.Equal(used.Remote, Assert.Single(pool.Endpoints).Remote);
    }

    /// <summary>Regression: it expired again an hour later, and was then neither in nor out.</summary>
    [Fact]
    public void Expire_ExpiredBefore_DoesNotExpireTwice()
    {
        var pool = new EndpointPool();
        var gone = pool.Enter(s_rule, Remote(1));
        pool.TakeOut(gone, now: 10);
        pool.Leave(gone, now: 20);
        pool.Retain(CompiledPolicy.Empty);
        var anew = pool.Enter(s_rule, Remote(1));
        pool.Expire(now: 24L * 3600 * 1_000_000_000);

        Assert.Equal(0, pool.Out);
        Assert.Same(anew, Assert.Single(pool.Endpoints));
        Assert.True(pool.Find(anew.Remote)!.Value.IsIn);
    }

    /// <summary>Regression: an endpoint that was back without a connection kept its series for a minute after its destination had
    /// moved.</summary>
    [Fact]
    public void Retain_DestinationMoved_OnlyEndpointsWithConnectionsStay()
    {
        var pool = new EndpointPool();
        var (absent, returned, used) = (pool.Enter(s_rule, Remote(1)), pool.Enter(s_rule, Remote(2)), pool.Enter(s_rule, Remote(3)));
        pool.TakeOut(absent, now: 10);
        pool.TakeOut(returned, now: 10);
        pool.Leave(absent, now: 20);
        pool.Leave(returned, now: 20);
        pool.Answered(returned.Remote, time: 30);
        pool.Retain(Rig.PolicyFor("192.0.2.0/24", "time: 60s").Policy);
        Assert.Equal(used.Remote, Assert.Single(pool.Endpoints).Remote);
        Assert.Equal(0, pool.Out);
    }

    [Fact]
    public void Standings_FiveThousandEndpointsOverTimeAndFiftyAlive_AreFifty()
    {
        const int alive = 50;
        var pool = new EndpointPool();
        var current = new Queue<PooledEndpoint>();
        for (int number = 0; number < 5000; number++)
        {
            current.Enqueue(pool.Enter(s_rule, Remote(number)));
            if (current.Count > alive)
            {
                pool.Leave(current.Dequeue(), now: number);
            }
            Assert.InRange(pool.Standings().Count, 1, alive);
        }
        Assert.Equal(alive, pool.Standings().Count);
    }

    private static SocketEndpoint Remote(int number) => new((UInt128)(0xFFFF_0A00_0000 + (ulong)number), 443);
}
