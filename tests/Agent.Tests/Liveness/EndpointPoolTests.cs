using Keepalive.Agent.Liveness;
using Keepalive.Agent.Tests.Apply;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Liveness;

/// <summary>Endpoints in and out of the pool, and how many of them get a series.</summary>
public sealed class EndpointPoolTests
{
    private static readonly CompiledRule Rule = Rig.PolicyFor("10.0.0.0/8", "time: 60s").Policy.Rules[0];

    [Fact]
    public void TakeOut_UntilItAnswersAfterwards()
    {
        var pool = new EndpointPool();
        var endpoint = pool.Enter(Rule, Remote(1));
        pool.Enter(Rule, Remote(1));
        pool.Enter(Rule, Remote(2));

        Assert.True(pool.TakeOut(endpoint, now: 10));
        Assert.False(pool.TakeOut(endpoint, now: 20));
        Assert.Equal([0.0, 1.0], pool.Samples().Select(sample => sample.Value));
        Assert.Empty(pool.Answered(Remote(2), 30));
        Assert.Empty(pool.Answered(Remote(1), 20));   // what came before it died
        Assert.Equal([endpoint], pool.Answered(Remote(1), 21));
        Assert.Empty(pool.Answered(Remote(1), 22));
        Assert.Equal([1.0, 1.0], pool.Samples().Select(sample => sample.Value));
    }

    [Fact]
    public void Leave_LastConnection_OnlyWhatIsOutIsRemembered()
    {
        var pool = new EndpointPool();
        var (lost, kept) = (pool.Enter(Rule, Remote(1)), pool.Enter(Rule, Remote(2)));
        pool.TakeOut(lost, now: 10);
        pool.Leave(lost, now: 10);
        pool.Leave(kept, now: 10);

        Assert.Contains("10.0.0.1:443", Assert.Single(pool.Samples()).Labels, StringComparison.Ordinal);
        Assert.Single(pool.Answered(Remote(1), 11));
        Assert.Empty(pool.Samples());
        Assert.Equal(0, pool.Out);
    }

    [Fact]
    public void Samples_TooManyEndpoints_AreFolded()
    {
        var pool = new EndpointPool();
        var last = Enumerable.Range(0, EndpointPool.MostSeries + 5).Select(i => pool.Enter(Rule, Remote(i))).ToList()[^1];

        var samples = pool.Samples();
        Assert.Equal(EndpointPool.MostSeries + 1, samples.Count);
        Assert.Contains("endpoint=\"other\"", samples[^1].Labels, StringComparison.Ordinal);
        pool.TakeOut(last, now: 1);

        // What is out is never among those that are folded away.
        Assert.Contains(pool.Samples(), sample => sample.Value == 0 && sample.Labels.Contains(last.Remote.ToString(), StringComparison.Ordinal));
    }

    private static SocketEndpoint Remote(int number) => new((UInt128)(0xFFFF_0A00_0000 + (ulong)number), 443);
}
