using System.Text.Json;
using System.Text.Json.Serialization;

namespace Keepalive.Agent.Reports;

/// <summary>The answer of a running agent about a connection: the rule that applies, by the policies in force, and what it knows of the
/// socket.</summary>
/// <param name="Api">The version of the answer's form.</param>
/// <param name="Agent">The version of the agent.</param>
/// <param name="Policies">The number of policies in force.</param>
/// <param name="Complete">Whether everything is known that the policies depend on.</param>
/// <param name="Exempt">Why the agent does not change the socket, whatever the rule says: a clause. Null if it may change it.</param>
/// <param name="Rule">The rule; null if none applies.</param>
/// <param name="Lost">The rules that would apply if others did not.</param>
/// <param name="OtherPorts">Rules for the same address and another port.</param>
/// <param name="WithoutAddress">Destinations that a policy selects and that have no address.</param>
/// <param name="Connection">The socket; null if no rule selects it, or none was asked for.</param>
/// <param name="Text">The rules as text.</param>
internal sealed record AgentsExplanation(
    int Api,
    string? Agent,
    int Policies,
    bool Complete,
    string? Exempt,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] ExplainedRule? Rule,
    IReadOnlyList<ExplainedRule>? Lost,
    IReadOnlyList<ExplainedRule>? OtherPorts,
    IReadOnlyList<EmptyDestination>? WithoutAddress,
    AgentsConnection? Connection,
    string? Text);

/// <summary>A rule as <c>explain -o json</c> writes it.</summary>
internal sealed record ExplainedRule(
    string? Policy,
    string? Position,
    string? Destination,
    string? Origin,
    string? Inherits,
    string? Addresses,
    int? Port,
    int? Time,
    int? Interval,
    int? Probes,
    string? DependsOn,
    double? FirstProbe,
    double? FirstProbeLatest,
    double? Detection,
    double? DetectionLatest,
    string? Existing,
    string? UserTimeout,
    int? CoveringUserTimeoutMs,
    string? Reason);

/// <summary>A destination that a policy selects and that has no address.</summary>
internal sealed record EmptyDestination(string? Kind, string? Destination, string? Policy);

/// <summary>A socket that a rule selects, as the running agent knows it. Times are UTC.</summary>
/// <param name="Outcome">The outcome of the last pass.</param>
/// <param name="Reason">Why the policy is not applied; null if the outcome says it.</param>
/// <param name="Liveness">idle, probing, alive or dead.</param>
/// <param name="Cause">Why it is dead; null if it is not.</param>
/// <param name="Unanswered">The unanswered probes.</param>
/// <param name="EndsAfter">The unanswered probes after which the kernel ends it.</param>
/// <param name="LastProbe">When a probe was last sent; null if never.</param>
/// <param name="LastReply">When a captured segment last answered; null if never.</param>
/// <param name="LastHeard">When the kernel last received something, as of the last pass that read it.</param>
/// <param name="SilentSince">When the first of the unanswered probes was sent.</param>
/// <param name="InPool">Whether its remote endpoint is in the pool; null if it is no endpoint.</param>
/// <param name="Backend">The backend behind the virtual address.</param>
/// <param name="Workload">The workload whose vote it counts for.</param>
/// <param name="Captured">Whether packets are captured.</param>
internal sealed record AgentsConnection(
    string? Outcome,
    string? Reason,
    string? Liveness,
    string? Cause,
    int Unanswered,
    int? EndsAfter,
    DateTimeOffset? LastProbe,
    DateTimeOffset? LastReply,
    DateTimeOffset? LastHeard,
    DateTimeOffset? SilentSince,
    bool? InPool,
    string? Backend,
    string? Workload,
    bool Captured);

[JsonSerializable(typeof(AgentsExplanation))]
internal sealed partial class ExplanationJsonContext : JsonSerializerContext
{
    public static ExplanationJsonContext Readable { get; } =
        new(new JsonSerializerOptions
        {
            PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
            Encoder = AgentJson.Encoder,
            DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        });
}
