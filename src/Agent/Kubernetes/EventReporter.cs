using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Keepalive.Agent.Log;
using Keepalive.Config;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Reports the problems of an object to its owner, in the object's Events.</summary>
/// <remarks>Every node finds the same problems, and one Event is enough. The name of an Event is a hash of its content, so the first node
/// creates it, and the server answers the others with a conflict. Each node sends at a random moment. It sends the same Event again after
/// an hour at the earliest, when the server has removed it.</remarks>
internal sealed partial class EventReporter(ApiConnection api, string instance, WatchTiming timing, TimeProvider time, ILogger logger) : IDisposable
{
    private const int Conflict = 409;
    private const string Refused = "Refused";
    private const int MaxNote = 1024;

    /// <summary>The maximum length of <c>reportingInstance</c> at the server. A node's name may be longer.</summary>
    private const int MaxInstance = 128;
    private const int MaxName = 253;
    private const int MaxWaiting = 256;

    private static readonly TimeSpan s_sayAgainAfter = TimeSpan.FromHours(1);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, long> _said = [];
    private readonly List<(string Hash, EventJson Event)> _waiting = [];
    private readonly SemaphoreSlim _some = new(0);
    private string? _failure;

    /// <summary>Queues an Event about an object. A problem that was reported lately is not reported again.</summary>
    /// <param name="regarding">The object.</param>
    /// <param name="diagnostic">The problem.</param>
    public void Report(ObjectReference regarding, Diagnostic diagnostic)
    {
        var text = diagnostic.Fix is null ? diagnostic.Message : $"{diagnostic.Message}; {diagnostic.Fix}";
        var note = $"{diagnostic.Code}: {(text.StartsWith(diagnostic.Position.File + ": ", StringComparison.Ordinal) ? text[(diagnostic.Position.File.Length + 2)..] : text)}";
        Report(regarding, regarding.Name, regarding.Uid, diagnostic.Severity, TerminalText.Escape(note));
    }

    /// <summary>Queues an Event about a policy file. Every node has the same files, and any of their agents' pods can have the Event.</summary>
    /// <param name="pod">The agent's pod.</param>
    /// <param name="path">The file.</param>
    /// <param name="errors">Its errors.</param>
    public void Report(ObjectReference pod, string path, IReadOnlyList<Diagnostic> errors) => Report(
        pod, "keepalive-agent", pod.Namespace, Severity.Error,
        TerminalText.Escape($"policy file {path} is refused: {errors[0]}{(errors.Count > 1 ? $" (and {errors.Count - 1} more errors)" : "")}"));

    private void Report(ObjectReference regarding, string name, string? identity, Severity severity, string note)
    {
        note = Encoding.UTF8.GetByteCount(note) <= MaxNote ? note : note[..(MaxNote / 4)] + " …";
        // Numbers in a warning do not make it a new one: they may count objects, and each node counts them at another moment.
        var same = severity == Severity.Error ? note : Number().Replace(note, "0");
        var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{identity} {same}")).AsSpan(0, 8));
        lock (_lock)
        {
            // If the queue is full, the next compilation reports the problem again.
            var now = time.GetTimestamp();
            if ((_said.TryGetValue(hash, out var last) && time.GetElapsedTime(last, now) < s_sayAgainAfter) || _waiting.Count == MaxWaiting)
            {
                return;
            }
            if (_said.Count > MaxWaiting * 8)
            {
                _said.Clear();
            }
            _said[hash] = now;
            _waiting.Add((hash, new EventJson(
                "events.k8s.io/v1",
                "Event",
                new EventMetadataJson($"{name[..Math.Min(name.Length, MaxName - hash.Length - 1)].TrimEnd('.', '-')}.{hash}", regarding.Namespace ?? "default"),
                time.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture),
                "keepalive-agent",
                instance[..Math.Min(instance.Length, MaxInstance)],
                "Enforce",
                severity == Severity.Error ? Refused : "NotAsWritten",
                "Warning",
                regarding,
                note)));
        }
        _some.Release();
    }

    public async Task RunAsync(CancellationToken stop)
    {
        try
        {
            for (; ; )
            {
                await _some.WaitAsync(stop).ConfigureAwait(false);
                await Task.Delay(timing.EventsWithin * Random.Shared.NextDouble(), time, stop).ConfigureAwait(false);
                var (hash, one) = TakeAny();
                if (!await TrySayAsync(one, stop).ConfigureAwait(false))
                {
                    lock (_lock)
                    {
                        _said.Remove(hash);
                    }
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The other nodes report the rest.
        }
    }

    public void Dispose() => _some.Dispose();

    /// <summary>Takes an Event from the queue: errors first, otherwise at random. All nodes have the same Events to send. Each begins with
    /// another one, and soon gets conflicts for the rest.</summary>
    private (string Hash, EventJson Event) TakeAny()
    {
        lock (_lock)
        {
            var errors = Enumerable.Range(0, _waiting.Count).Where(i => _waiting[i].Event.Reason == Refused).ToList();
            var index = errors.Count > 0 ? errors[Random.Shared.Next(errors.Count)] : Random.Shared.Next(_waiting.Count);
            var taken = _waiting[index];
            _waiting[index] = _waiting[^1];
            _waiting.RemoveAt(_waiting.Count - 1);
            return taken;
        }
    }

    private async Task<bool> TrySayAsync(EventJson one, CancellationToken stop)
    {
        try
        {
            var json = JsonSerializer.SerializeToUtf8Bytes(one, EventJsonContext.Default.EventJson);
            using var response = await api.SendAsync(
                HttpMethod.Post, $"apis/events.k8s.io/v1/namespaces/{one.Metadata.Namespace}/events", "application/json", json, stop).ConfigureAwait(false);
            _failure = null;
            return true;
        }
        catch (ApiException e) when (e.Status == Conflict)
        {
            return true;   // another node was first
        }
        catch (ApiException e)
        {
            if (_failure != e.Message)
            {
                LogFailed(_failure = e.Message);
            }
            return false;
        }
    }

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Number();

    [LoggerMessage(EventIds.KubernetesEventsFailed, LogLevel.Warning, "Kubernetes: Events cannot be written: {Reason}; this log has the same messages")]
    private partial void LogFailed(string reason);
}

/// <summary>The identity of an object in the API.</summary>
internal sealed record ObjectReference(string ApiVersion, string Kind, string? Namespace, string Name, string? Uid);

internal sealed record EventJson(
    string ApiVersion,
    string Kind,
    EventMetadataJson Metadata,
    string EventTime,
    string ReportingController,
    string ReportingInstance,
    string Action,
    string Reason,
    string Type,
    ObjectReference Regarding,
    string Note);

internal sealed record EventMetadataJson(string Name, string Namespace);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(EventJson))]
internal sealed partial class EventJsonContext : JsonSerializerContext;
