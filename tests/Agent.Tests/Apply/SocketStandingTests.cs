using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

public sealed class SocketStandingTests
{
    /// <summary>The passes between two tries. A deferred socket is tried in every pass, a pending one in every pass at first, a failed one
    /// less and less often.</summary>
    [Theory]
    [InlineData(nameof(SocketOutcome.Deferred), new long[] { 1, 1, 1, 1, 1, 1, 1, 1, 1 })]
    [InlineData(nameof(SocketOutcome.Pending), new long[] { 1, 1, 1, 1, 1, 1, 12, 12, 12 })]
    [InlineData(nameof(SocketOutcome.Failed), new long[] { 1, 2, 4, 8, 12, 12, 12, 12, 12 })]
    public void PutOff_FailedTries_BackOff(string name, long[] apart)
    {
        var outcome = Enum.Parse<SocketOutcome>(name);
        var standing = new SocketStanding();
        var pass = 1L;
        foreach (var passes in apart)
        {
            standing.Miss(outcome, reason: null);
            standing.PutOff(pass);
            Assert.Equal(pass + passes, standing.NextTry);
            standing.PutOff(pass);   // a pass before that one does not count as a try
            Assert.Equal(pass + passes, standing.NextTry);
            pass = standing.NextTry;
        }
        standing.Settle(SocketOutcome.Managed);
        standing.Unsettle();
        standing.Miss(outcome, reason: null);
        standing.PutOff(pass);
        Assert.Equal(pass + 1, standing.NextTry);
    }

    [Fact]
    public void Told_ChangeAndRestoring_AreReportedOnce()
    {
        var standing = new SocketStanding();
        standing.Wrote(new(true, 700, 10, 20), new(false, 7200, 75, 9), userTimeout: null);
        standing.Settle(SocketOutcome.Restored);
        Assert.NotNull(standing.Replaced);
        standing.Told();
        Assert.Null(standing.Replaced);
        Assert.Equal(SocketOutcome.Unmanaged, standing.Outcome);
    }

    [Fact]
    public void Wrote_UserTimeoutAlone_IsAChange()
    {
        var standing = new SocketStanding();
        standing.Read(OwnValues.None, 3_000);
        standing.Wrote(new(true, 700, 10, 20), new(true, 700, 10, 20), userTimeout: 900_000);
        Assert.Equal((new KeepaliveOptions(true, 700, 10, 20), 3_000, 900_000), (standing.Replaced, standing.ReplacedUserTimeout, standing.UserTimeout));
        standing.Told();
        Assert.Equal((null, null, 900_000), (standing.Replaced, standing.ReplacedUserTimeout, standing.UserTimeout));
    }
}
