using System.Buffers;
using System.Collections.Immutable;
using System.Text.Json;
using Keepalive.Agent.Log;
using Keepalive.Config;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Kubernetes;

/// <summary>An object that defines a policy or a destination.</summary>
/// <param name="Uid">The identity of the object, which differs from that of another object with the same name.</param>
/// <param name="ApiVersion">The version it was read in.</param>
/// <param name="Fingerprint">A hash of its content.</param>
/// <param name="InForce">The current content. If it has errors, the last valid content; null if there never was one.</param>
/// <param name="Diagnostics">Its problems.</param>
internal sealed record StoredResource(string? Uid, string ApiVersion, ulong Fingerprint, Resource? InForce, ImmutableArray<Diagnostic> Diagnostics)
{
    public bool IsRefused => Diagnostics.Any(diagnostic => diagnostic.Severity == Severity.Error);
}

/// <summary>The objects of one kind that define policies or destinations, read in the same way as files.</summary>
internal sealed partial class ResourceStore(WatchedKind kind, TimeProvider time, ILogger logger) : ObjectStore<StoredResource>
{
    /// <summary>A limit for the log, because thousands of objects in a list may have the same problem.</summary>
    private readonly LineAllowance _lines = new(time, linesPerSecond: 50);

    public WatchedKind Kind => kind;

    protected override StoredResource Read(StoredResource? before, ApiMetadata head, string apiVersion, in ReadOnlySequence<byte> json)
    {
        var source = $"{kind.Kind} {head.Namespace ?? "default"}/{head.Name}";
        var known = before?.Uid == head.Uid ? before : null;
        ObjectRead read;
        try
        {
            read = PolicyReader.ReadObject(in json, apiVersion, kind.Kind, source, known?.Fingerprint);
        }
        catch (JsonException e)
        {
            LogRefused(LogLevel.Error, $"{source}: {e.Message}", Consequence(known));
            return new StoredResource(head.Uid, apiVersion, 0, known?.InForce, []);
        }
        if (read.Read is not { } result)
        {
            return known!;
        }
        var resource = result.Resources.All is [{ IsValid: true } valid] ? Trim(valid, head) : null;
        var said = result.Diagnostics.Where(diagnostic => diagnostic.Severity != Severity.Note).ToImmutableArray();
        foreach (var diagnostic in said.Where(diagnostic => known is null || !known.Diagnostics.Contains(diagnostic)))
        {
            Say(diagnostic, known);
        }
        return new StoredResource(head.Uid, apiVersion, read.Fingerprint, resource ?? known?.InForce, said);
    }

    private static string Consequence(StoredResource? known) => known?.InForce is null
        ? "the object is ignored until it is corrected"
        : "its previous version stays in force until the agent restarts";

    private void Say(Diagnostic diagnostic, StoredResource? known)
    {
        if (_lines.TryRenew(out var left) && left > 0 && !logger.IsEnabled(LogLevel.Debug))
        {
            LogMore(left, kind.ToString());
        }
        var isError = diagnostic.Severity == Severity.Error;
        var level = !_lines.Take() ? LogLevel.Debug : isError ? LogLevel.Error : LogLevel.Warning;
        if (!logger.IsEnabled(level))
        {
            return;
        }
        var (text, consequence) = (diagnostic.ToString(), Consequence(known));
        if (isError)
        {
            LogRefused(level, text, consequence);
        }
        else
        {
            LogWarning(level, text);
        }
    }

    /// <summary>Removes what is not needed, to save memory, and shares texts. A cluster has more slices than objects of any other kind.</summary>
    private static Resource Trim(Resource resource, ApiMetadata head)
    {
        resource = (resource as EndpointSlice)?.Compact() ?? resource;
        resource = resource with
        {
            Metadata = resource.Metadata with
            {
                Name = resource.Metadata.Name with { Value = head.Name is { } name && name == resource.Metadata.Name.Value ? name : resource.Metadata.Name.Value },
                Namespace = SharedNames.Of(resource.Metadata.Namespace),
            },
        };
        return resource is EndpointSlice compact
            ? compact with { Ports = [.. compact.Ports.Select(static port => port with { Name = SharedNames.Of(port.Name) })] }
            : resource;
    }

    [LoggerMessage(EventId = EventIds.KubernetesObjectRefused, Message = "Kubernetes: {Diagnostic}; {Consequence}")]
    private partial void LogRefused(LogLevel level, string diagnostic, string consequence);

    [LoggerMessage(EventId = EventIds.KubernetesObjectWarning, Message = "Kubernetes: {Diagnostic}")]
    private partial void LogWarning(LogLevel level, string diagnostic);

    [LoggerMessage(EventIds.KubernetesObjectsLeftOut, LogLevel.Warning, "Kubernetes: {Count} more diagnostics of {Kind} are not listed; --log-level debug lists all")]
    private partial void LogMore(int count, string kind);
}
