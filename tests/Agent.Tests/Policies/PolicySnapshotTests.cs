using Keepalive.Agent.Policies;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Xunit;

namespace Keepalive.Agent.Tests.Policies;

/// <summary>The policies in force, as health and metrics count them.</summary>
public sealed class PolicySnapshotTests
{
    /// <summary>An agent without any policy is not ready after an error, also if pods may choose values.</summary>
    [Fact]
    public void Policies_PodsMayChooseValues_IsNoPolicy()
    {
        var empty = new PolicySnapshot(CompiledPolicy.Empty.WithOwn(), ExistingMode.Tighten);
        Assert.Equal(0, empty.Policies);
        var one = new PolicySnapshot(CompiledPolicy.Empty.WithFallback(new KeepaliveSettings(240, 20, 4), "--keepalive").WithOwn(), ExistingMode.Tighten);
        Assert.Equal(1, one.Policies);
    }
}
