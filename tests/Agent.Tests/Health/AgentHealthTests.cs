using Keepalive.Agent.Health;
using Keepalive.Agent.Policies;
using Keepalive.Config;
using Xunit;

namespace Keepalive.Agent.Tests.Health;

/// <summary>When the service is ready, and the reasons it reports when it is not.</summary>
public sealed class AgentHealthTests
{
    private readonly TestClock _time = new();
    private readonly AgentHealth _health;

    public AgentHealthTests()
    {
        _health = new AgentHealth(_time, TimeSpan.FromSeconds(5));
        _health.PoliciesLoaded(3);
    }

    [Fact]
    public void Report_BeforeTheFirstPass_NotReady()
    {
        Assert.False(_health.Report().Ready);
        Assert.Contains("first pass", Assert.Single(_health.Report().Problems), StringComparison.Ordinal);
        Assert.True(_health.PassDone(null, null));
        Assert.False(_health.PassDone(null, null));
        Assert.Equal(new HealthReport(true, 3, true, "2026-11-23T12:00:00Z", []), _health.Report() with { Problems = [] });
        Assert.Empty(_health.Report().Problems);
    }

    [Fact]
    public void Report_FirstPassFails_NotReadyUntilOneDoesNot()
    {
        Assert.False(_health.PassDone("netlink: ENOBUFS", null));
        Assert.False(_health.Report().Ready);
        Assert.Contains("netlink: ENOBUFS", Assert.Single(_health.Report().Problems), StringComparison.Ordinal);
        Assert.True(_health.PassDone(null, null));
        Assert.True(_health.Report().Ready);
        _health.PassDone("again", null);
        Assert.False(_health.Report().Ready);
    }

    [Fact]
    public void Report_PoliciesRefused_ReadyWithTheReason()
    {
        _health.PassDone(null, null);
        _health.PoliciesRefused(Enumerable.Range(0, 30).Select(i => $"p.yaml:{i}:1: error KA001: wrong"));
        var report = _health.Report();
        Assert.True(report.Ready);
        Assert.False(report.PoliciesValid);
        Assert.Equal(3, report.Policies);
        Assert.Equal("and 10 more", report.Problems[^1]);
        Assert.Contains("p.yaml:0:1: error KA001: wrong", report.Problems);
        _health.PoliciesLoaded(4);
        Assert.Empty(_health.Report().Problems);
    }

    /// <summary>Regression: the page named the object and not the error.</summary>
    [Fact]
    public void Report_ObjectsRefused_EachHasItsFirstError()
    {
        var health = new AgentHealth(_time, TimeSpan.FromSeconds(5)) { RefusedObjects = () => [.. Enumerable.Range(0, 21).Select(i => $"DestinationRule shop/d{i}: error KA024: wrong")] };
        var report = health.Report();
        Assert.False(report.PoliciesValid);
        Assert.Contains("DestinationRule shop/d0: error KA024: wrong", report.Problems);
        Assert.Equal("and 1 more", report.Problems[^1]);
    }

    [Fact]
    public void Report_FileRefused_ReadyWhileAnyPolicyIsInForce()
    {
        var error = new Diagnostic("KA001", Severity.Error, new SourcePosition("p.yaml", 1, 2), "wrong", null);
        _health.PassDone(null, null);
        _health.FilesRead([new BrokenFile("p.yaml", [error], _time.GetUtcNow())]);
        var report = _health.Report();
        Assert.Equal((true, false), (report.Ready, report.PoliciesValid));
        Assert.Equal(["p.yaml is refused, and its last good content, loaded 2026-11-23T12:00:00Z, stays in force:", "p.yaml:1:2: error KA001: wrong"], report.Problems);

        // Other policies are in force.
        _health.FilesRead([new BrokenFile("p.yaml", [error], null)]);
        Assert.True(_health.Report().Ready);
        Assert.StartsWith("p.yaml is refused, and there is no last good content, so it is ignored", _health.Report().Problems[0], StringComparison.Ordinal);

        _health.PoliciesLoaded(0);
        Assert.False(_health.Report().Ready);
        Assert.Equal("no policy is in force, because the policies have errors", _health.Report().Problems[0]);
        _health.PoliciesLoaded(1);
        Assert.True(_health.Report().Ready);
        _health.FilesRead([]);
        Assert.Equal((true, true), (_health.Report().Ready, _health.Report().PoliciesValid));
    }

    [Fact]
    public void Report_NamespacesSkipped_ReadyWithTheirOwners()
    {
        _health.PassDone(null, null);
        _health.Impaired(null, "user 65534: more than 256 network namespaces; the others are skipped");
        Assert.True(_health.Report().Ready);
        Assert.StartsWith("user 65534: more than 256", Assert.Single(_health.Report().Problems), StringComparison.Ordinal);
        _health.Impaired(null, null);
        Assert.Empty(_health.Report().Problems);
    }

    [Fact]
    public void IsStuck_NoPass_AfterItsLimit()
    {
        _health.PassDone(null, null);
        _time.Advance(_health.Patience);
        Assert.False(_health.IsStuck);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.True(_health.IsStuck);
        Assert.False(_health.Report().Ready);
        _health.Beat();
        Assert.False(_health.IsStuck);
        Assert.True(_health.Report().Ready);
    }

    [Fact]
    public void Report_Stopping_NotReady()
    {
        _health.PassDone(null, "no libpcap");
        Assert.Contains("no libpcap", Assert.Single(_health.Report().Problems), StringComparison.Ordinal);
        Assert.True(_health.Report().Ready);
        _health.Stopping();
        Assert.False(_health.Report().Ready);
    }
}
