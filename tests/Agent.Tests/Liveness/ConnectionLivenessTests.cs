using Keepalive.Agent.Liveness;
using Xunit;
using static Keepalive.Agent.Liveness.LivenessEvent;

namespace Keepalive.Agent.Tests.Liveness;

/// <summary>The states of a connection, as a table.</summary>
public sealed class ConnectionLivenessTests
{
    private static readonly DeathLimit s_three = new(3, HasUserTimeout: false);

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
    public void After_Events_IsTheStateOfTheTable(string events, string expected)
    {
        var words = events.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var limit = words.Contains("user") ? s_three with { HasUserTimeout = true } : s_three;
        var state = words.Where(word => word != "user").Aggregate(default(ConnectionLiveness), (before, word) => before.After(Event(word), limit));

        Assert.Equal(expected, $"{state.Phase} {state.Unanswered}{(state.Cause == DeathCause.None ? "" : $" {state.Cause}")}");
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
