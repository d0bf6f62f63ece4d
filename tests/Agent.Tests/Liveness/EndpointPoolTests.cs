using Keepalive.Agent.Liveness;
using Keepalive.Agent.Sockets;
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
    public void Leave_LastConnection_OnlyEndpointsThatAreOutAreKept()
    {
        var pool = new EndpointPool();
        var (lost, kept) = (pool.Enter(s_rule, Remote(1)), pool.Enter(s_rule, Remote(2)));
        TakeOut(pool, lost, now: 10);
        pool.Leave(lost, now: 10);
        pool.Leave(kept, now: 10);

        Assert.Equal(Remote(1), Assert.Single(pool.Standings()).Remote);
        pool.HeardHandshake(Remote(1), "uid:0", 11);
        Assert.Equal(0, pool.Out);
        // Back in the pool, and reported so before the next pass has found its new connection.
        pool.Expire(now: 11 + (59 * 1_000_000_000L));
        Assert.True(Assert.Single(pool.Standings()).IsIn);
        Assert.True(pool.Find(Remote(1))!.IsIn);
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
        TakeOut(pool, endpoint, now: 1);
        Assert.NotSame(before, pool.Standings());
        Assert.True(Assert.Single(before).IsIn);
    }

    [Fact]
    public void Find_EndpointOfTwoDestinations_IsOutInBoth()
    {
        var other = s_rule with { Destination = "another/one" };
        var pool = new EndpointPool();
        Assert.Null(pool.Find(Remote(1)));
        var (a, b) = (pool.Enter(s_rule, Remote(1)), pool.Enter(other, Remote(1)));
        Assert.Equal((2, true), (pool.Find(Remote(1))!.Destinations, pool.Find(Remote(1))!.IsIn));
        TakeOut(pool, a, now: 10);
        Assert.Equal((2, false, 10L), (pool.Find(Remote(1))!.Destinations, pool.Find(Remote(1))!.IsIn, pool.Find(Remote(1))!.OutSince));
        Assert.Equal([false, false], pool.Standings().Select(standing => standing.IsIn));
        pool.Leave(b, now: 11);
        pool.Leave(a, now: 12);
        Assert.False(pool.Find(Remote(1))!.IsIn);
        pool.HeardHandshake(Remote(1), "uid:0", 13);
        Assert.True(pool.Find(Remote(1))!.IsIn);
        Assert.Equal(0, pool.Out);
    }

    [Fact]
    public void Expire_OutAndWithoutConnectionForLong_ExpiresUnlessItCameBack()
    {
        var pool = new EndpointPool();
        foreach (int number in new[] { 1, 2 })
        {
            var endpoint = pool.Enter(s_rule, Remote(number));
            TakeOut(pool, endpoint, now: 10);
            pool.Leave(endpoint, now: 20);
        }
        var again = pool.Enter(s_rule, Remote(2));
        pool.Leave(again, now: 30);
        pool.Expire(20 + FarEnd.Memory);
        Assert.Equal(2, pool.Standings().Count);
        pool.Expire(21 + FarEnd.Memory);
        Assert.Null(pool.Find(Remote(1)));
        Assert.NotNull(pool.Find(Remote(2)));
        pool.Expire(31 + FarEnd.Memory);
        Assert.Empty(pool.Standings());
        Assert.Equal(0, pool.Out);
    }

    [Fact]
    public void Retain_PolicyGone_OnlyEndpointsWithConnectionsStay()
    {
        var pool = new EndpointPool();
        var (absent, used) = (pool.Enter(s_rule, Remote(1)), pool.Enter(s_rule, Remote(2)));
        TakeOut(pool, absent, now: 10);
        TakeOut(pool, used, now: 10);
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
        TakeOut(pool, gone, now: 10);
        pool.Leave(gone, now: 20);
        pool.Retain(CompiledPolicy.Empty);
        var anew = pool.Enter(s_rule, Remote(1));
        pool.Expire(now: 24L * 3600 * 1_000_000_000);

        Assert.Equal(0, pool.Out);
        Assert.Same(anew, Assert.Single(pool.Endpoints));
        Assert.True(pool.Find(anew.Remote)!.IsIn);
    }

    /// <summary>Regression: an endpoint that was back without a connection kept its series for a minute after its destination had
    /// moved.</summary>
    [Fact]
    public void Retain_DestinationMoved_OnlyEndpointsWithConnectionsStay()
    {
        var pool = new EndpointPool();
        var (absent, returned, used) = (pool.Enter(s_rule, Remote(1)), pool.Enter(s_rule, Remote(2)), pool.Enter(s_rule, Remote(3)));
        TakeOut(pool, absent, now: 10);
        TakeOut(pool, returned, now: 10);
        pool.Leave(absent, now: 20);
        pool.Leave(returned, now: 20);
        pool.HeardHandshake(returned.Remote, "uid:0", 30);
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

    /// <summary>Takes an endpoint out of the pool: a connection to it dies, and there is no other one to ask.</summary>
    private static void TakeOut(EndpointPool pool, PooledEndpoint endpoint, long now)
    {
        var record = new SocketRecord
        {
            Namespace = 1,
            Cookie = 1,
            Local = Remote(999),
            Remote = endpoint.Remote,
            State = TcpState.Established,
            Rule = s_rule,
        };
        var connection = new WatchedConnection(in record, new WatchedScope(1, 1), endpoint);
        pool.Enter(connection, "uid:1");
        pool.Died(connection.Vote!, now, interval: 1, now);
        pool.Leave(connection, now);
    }

    private static SocketEndpoint Remote(int number) => new((UInt128)(0xFFFF_0A00_0000 + (ulong)number), 443);
}
