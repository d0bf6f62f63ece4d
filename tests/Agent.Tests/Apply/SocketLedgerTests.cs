using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>The counts of changes to sockets.</summary>
public sealed class SocketLedgerTests
{
    private static readonly KeepaliveOptions s_found = new(false, 7200, 75, 9);
    private static readonly KeepaliveOptions s_set = new(true, 700, 10, 20);

    private readonly ApplyCounts _counts = new();
    private readonly SocketLedger _ledger;
    private readonly TrackedSocket _socket = new(4711, new SeenSocket { Cookie = 7, Local = default, Remote = default }, dump: 1);

    public SocketLedgerTests()
    {
        _ledger = new SocketLedger(state: null, [], _counts);
        Select(Rig.PolicyFor("10.0.0.1", PolicyText.GuideValues));
    }

    [Fact]
    public void Miss_SameReasonAgain_CountsOnce()
    {
        for (var i = 0; i < 3; i++)
        {
            _ledger.Miss(_socket, SocketOutcome.Unreachable, FailureReasons.NoOwner);
        }
        _ledger.Fail(_socket, "EPERM");
        _ledger.Fail(_socket, "EPERM");
        _ledger.Miss(_socket, SocketOutcome.Unreachable, FailureReasons.NoOwner);
        Assert.Equal([("EPERM", 1L), ("noOwner", 2L)], Failures());
    }

    [Theory]
    [InlineData(nameof(SocketOutcome.Pending))]
    [InlineData(nameof(SocketOutcome.Deferred))]
    public void Miss_Waiting_IsNoFailure(string outcome)
    {
        _ledger.Miss(_socket, Enum.Parse<SocketOutcome>(outcome), FailureReasons.NotAccepted);
        Assert.Empty(_counts.Failures);
    }

    [Fact]
    public void Miss_SocketThatNoRuleSelects_IsNoFailure()
    {
        Select(PolicySnapshot.Empty);
        _ledger.Miss(_socket, SocketOutcome.Unreachable, FailureReasons.NoOwner);
        Assert.Empty(_counts.Failures);
    }

    [Fact]
    public void Conclude_Written_IsCountedForItsPolicyAndNamespace()
    {
        Conclude(s_set, null);
        Assert.Equal((1, 0), (_counts.Applied, _counts.Restored));
        Assert.Equal([("bookinfo/tcp-keepalive", 4711UL, null, 1L)], _counts.TakeApplied());
        Assert.Equal(1, _counts.Applied);
    }

    [Fact]
    public void Conclude_WrittenInPart_IsAppliedAndFailed()
    {
        Conclude(s_found with { Interval = 10 }, "EINVAL");
        Assert.Equal(1, _counts.Applied);
        Assert.Equal([("EINVAL", 1L)], Failures());
    }

    [Fact]
    public void Conclude_NothingWritten_IsOnlyFailed()
    {
        Conclude(s_found, "EPERM");
        Assert.Equal(0, _counts.Applied);
        Assert.Equal([("EPERM", 1L)], Failures());
    }

    [Fact]
    public void Conclude_OriginalsWritten_IsRestored()
    {
        Conclude(s_set, null);
        Select(PolicySnapshot.Empty);
        var verdict = _ledger.Decide(_socket, s_set, Pass())!.Value;
        _ledger.Conclude(_socket, s_set, verdict, s_found, userTimeout: null, failure: null);
        Assert.Equal((1, 1), (_counts.Applied, _counts.Restored));
    }

    [Fact]
    public void Decide_DryRun_CountsNothing()
    {
        Assert.Null(_ledger.Decide(_socket, s_found, Pass(new PassScope { DryRun = true })));
        Assert.Equal(SocketOutcome.WouldApply, _socket.Standing.Outcome);
        Assert.Equal((0, 0), (_counts.Applied, _counts.Restored));
    }

    private void Select(PolicySnapshot policy) => _socket.Standing.Select(policy.Policy.Rules.FirstOrDefault(), policy);

    private void Conclude(KeepaliveOptions now, string? failure)
    {
        var verdict = _ledger.Decide(_socket, s_found, Pass())!.Value;
        Assert.Equal(s_set, verdict.Want);
        _ledger.Conclude(_socket, s_found, verdict, now, userTimeout: null, failure);
        Assert.Equal(now, _socket.Standing.Current);
        _socket.Standing.Told();
    }

    private static PassContext Pass(PassScope? scope = null) => new(1, PolicySnapshot.Empty, scope ?? new PassScope(), null!);

    private IEnumerable<(string, long)> Failures() => _counts.Failures.OrderBy(failure => failure.Key, StringComparer.Ordinal).Select(failure => (failure.Key, failure.Value));
}
