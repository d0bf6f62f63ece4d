using Keepalive.Agent.Liveness;
using Keepalive.Linux.Sockets;
using Xunit;
using static Keepalive.Agent.Liveness.LivenessEvent;

namespace Keepalive.Agent.Tests.Liveness;

/// <summary>The states of a connection, as a table.</summary>
public sealed class ConnectionLivenessTests
{
    private static readonly KeepaliveOptions s_values = new(true, 4, 2, 3);

    [Theory]
    [InlineData("", "Idle 0")]
    [InlineData("heard", "Idle 0")]
    [InlineData("probe", "Probing 1")]
    [InlineData("probe probe", "Probing 2")]
    [InlineData("probe heard", "Alive 0")]
    [InlineData("probe heard probe", "Probing 1")]
    [InlineData("probe probe probe", "Probing 3")]
    [InlineData("probe probe probe here", "Dead 3 Probes")]
    [InlineData("probe probe probe overdue", "Dead 3 Probes")]
    [InlineData("probe probe probe vanished", "Dead 3 Probes")]
    [InlineData("probe probe here", "Probing 2")]
    [InlineData("probe probe overdue", "Probing 2")]
    [InlineData("probe vanished", "Probing 1")]
    [InlineData("here", "Idle 0")]
    [InlineData("vanished", "Idle 0")]
    [InlineData("there", "Dead 0 Reset")]
    [InlineData("probe heard there", "Dead 0 Reset")]
    [InlineData("probe retransmitting", "Dead 1 Timeout")]
    [InlineData("there probe heard", "Dead 0 Reset")]
    [InlineData("user probe here", "Dead 1 Probes")]
    [InlineData("user here", "Idle 0")]
    [InlineData("long probe here", "Probing 1")]
    [InlineData("long probe probe here", "Dead 2 Probes")]
    public void After_Events_IsTheStateOfTheTable(string events, string expected)
    {
        var words = events.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        // A user timeout of all three probes takes away one of them, if timers are late.
        var limit = DeathLimit.Of(s_values, words.Contains("user") ? 3_000 : words.Contains("long") ? 10_000 : 0);
        var state = words.Where(word => word is not ("user" or "long")).Aggregate(default(ConnectionLiveness), (before, word) => before.After(Event(word), limit));

        Assert.Equal(expected, $"{state.Phase} {state.Unanswered}{(state.Cause == DeathCause.None ? "" : $" {state.Cause}")}");
    }

    [Fact]
    public void Limit_ValuesUnknown_OnlyAUserTimeoutMakesAProbeTheLast()
    {
        Assert.False(DeathLimit.Of(null, userTimeout: 0).IsReached(100));
        Assert.True(DeathLimit.Of(null, userTimeout: 1).IsReached(1));
    }

    private static LivenessEvent Event(string word) => word switch
    {
        "probe" => ProbeSent,
        "heard" => Heard,
        "here" => ResetHere,
        "there" => ResetThere,
        "overdue" => Overdue,
        "vanished" => Vanished,
        "retransmitting" => VanishedRetransmitting,
        _ => throw new ArgumentException(word, nameof(word)),
    };
}
