using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Linux.Sockets;
using Microsoft.AspNetCore.Http;
using Endpoint = Keepalive.Config.Endpoint;

namespace Keepalive.Agent.Serving;

/// <summary>Explains one connection by the policies in force, for commands on the node. Only the unix socket has this page.</summary>
/// <remarks>The query: <c>to</c>, and where they are known <c>from</c>, <c>netns</c>, <c>cookie</c> and <c>pid</c>. A later version may add
/// properties to the answer; one that changes them gets a path of its own.</remarks>
internal sealed class ExplainPage(PolicySource policies, LivenessMonitor liveness, PodDirectory? pods)
{
    public const string Path = "/v1/explain";

    /// <summary>The version of the answer's form.</summary>
    public const int Version = 1;

    /// <summary>The longest list of rules in an answer. A destination may have one for each of 65,535 ports.</summary>
    private const int MaxRules = 100;

    /// <summary>Returns the answer as a line of JSON; null and the problem if the query is invalid.</summary>
    public string? Answer(IQueryCollection query, out string problem)
    {
        problem = "";
        if (!Endpoint.TryParse((string?)query["to"] ?? "", portRequired: true, out var remote))
        {
            problem = "to=ADDR:PORT is missing or invalid";
            return null;
        }
        Endpoint? local = null;
        if ((string?)query["from"] is { } from)
        {
            if (!Endpoint.TryParse(from, portRequired: false, out var given))
            {
                problem = "from= takes ADDR or ADDR:PORT";
                return null;
            }
            local = given;
        }
        if (!TryNumber(query, "netns", out var inode) || !TryNumber(query, "cookie", out var cookie) || !TryNumber(query, "pid", out var pid) || pid > int.MaxValue)
        {
            problem = "netns=, cookie= and pid= take a number";
            return null;
        }
        var snapshot = policies.InForce ?? PolicySnapshot.Undecided;
        // Without a socket the pod is not known, and the rules are those for all pods.
        var client = inode == 0 ? null : pods?.ClientOf(inode, (int)pid);
        var report = new ExplanationReport(snapshot.For(client).Policy, snapshot.WithoutAddress, remote, local) { AgentsExisting = snapshot.Existing, MaxRules = MaxRules };
        var detail = liveness.Describe(inode, cookie);
        var exempt = inode != 0 && local is { } end ? pods?.WhyExempt(inode, (int)pid, new SocketEndpoint(end.Address, end.Port)) : null;
        return AgentJson.Lines.Of(writer =>
        {
            writer.WriteNumber("api", Version);
            writer.WriteString("agent", BuildInformation.Version);
            writer.WriteNumber("policies", snapshot.Policies);
            writer.WriteBoolean("complete", snapshot.IsComplete);
            writer.WriteString("exempt", exempt);
            report.WriteJson(writer);
            WriteEmpty(writer, snapshot.WithoutAddress);
            writer.WritePropertyName("connection");
            JsonSerializer.Serialize(writer, detail is null ? null! : Of(detail), ExplanationJsonContext.Readable.AgentsConnection);
            writer.WriteString("text", report.ToText());
        });
    }

    private static void WriteEmpty(Utf8JsonWriter writer, ImmutableArray<Config.Compilation.DestinationSummary> destinations)
    {
        writer.WriteStartArray("withoutAddress");
        foreach (var destination in destinations)
        {
            writer.WriteStartObject();
            writer.WriteString("kind", destination.Kind);
            writer.WriteString("destination", destination.Destination);
            writer.WriteString("policy", destination.Policies[0]);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    private static AgentsConnection Of(ConnectionDetail detail) => new(
        JsonNamingPolicy.CamelCase.ConvertName(detail.Row.Outcome.ToString()),
        detail.Row.Reason,
        detail.Row.Liveness.Phase.ToString().ToLowerInvariant(),
        detail.Row.Liveness.Cause == DeathCause.None ? null : detail.Row.Liveness.Cause.ToString().ToLowerInvariant(),
        detail.Row.Liveness.Unanswered,
        detail.EndsAfter,
        Time(detail.ProbedAt),
        Time(detail.AnsweredAt),
        Time(detail.HeardAt),
        Time(detail.SilentSince),
        detail.IsInPool,
        detail.Backend?.ToString(),
        detail.Workload,
        detail.IsCaptured);

    private static DateTimeOffset? Time(long? nanoseconds) => nanoseconds is { } time ? DateTimeOffset.UnixEpoch.AddTicks(time / 1_000_000 * 10_000) : null;

    /// <summary>A missing number is 0.</summary>
    private static bool TryNumber(IQueryCollection query, string name, out ulong number)
    {
        number = 0;
        return (string?)query[name] is not { } text || ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }
}
