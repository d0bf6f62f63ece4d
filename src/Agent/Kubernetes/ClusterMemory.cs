using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Keepalive.Agent.Log;
using Keepalive.Agent.Support;
using Keepalive.Config;
using Keepalive.Config.Rendering;
using Keepalive.Linux.Files;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Kubernetes;

/// <summary>A kind of object in the memory of the cluster.</summary>
/// <param name="Watch">Its watch.</param>
/// <param name="Sink">Takes its objects.</param>
/// <param name="Write">Writes its objects, each to the action that it calls.</param>
internal sealed record RememberedKind(KindWatch Watch, IObjectSink Sink, Action<Action<Action<Utf8JsonWriter>>> Write);

/// <summary>The last known objects of the cluster on disk, for an agent that starts while the API server is unavailable.</summary>
/// <remarks>
/// A text: <c>cluster SERVER AUTHORITY NODE</c>, then for each kind <c>kind NAME VERSION known|absent SECONDS</c> and its objects, each one line of
/// JSON. It has only the content that the compiler uses (<see cref="ResourceJson"/>) and the names, addresses and exclusions of this node's pods.
/// </remarks>
internal sealed partial class ClusterMemory(DataDirectory directory, ClusterOptions options, ILogger logger)
{
    public const string FileName = "cluster";
    public const string Format = "keepalive-agent-cluster 1";

    /// <summary>The maximum size. Kinds that do not fit are omitted, the last ones first.</summary>
    public const int MaxBytes = 8 * 1024 * 1024;

    private string? _said;
    private uint _written;

    /// <summary>Gives the objects to their kinds. Returns the names of kinds that the server did not have.</summary>
    public IReadOnlySet<string> Load(IReadOnlyCollection<RememberedKind> kinds)
    {
        var absent = new HashSet<string>(StringComparer.Ordinal);
        if (directory.Read(FileName, Format, MaxBytes, out var problem) is not { } content)
        {
            if (problem is not null && problem != directory.Problem)
            {
                LogUnreadable(TerminalText.Escape(problem));
            }
            return absent;
        }
        RememberedKind? kind = null;
        var version = "";
        var isFirst = true;
        foreach (var range in content.Span.Split((byte)'\n'))
        {
            var line = content[range];
            if (line.Length > 0 && line.Span[0] == '{')
            {
                Take(kind, version, line);
                continue;
            }
            var words = Encoding.UTF8.GetString(line.Span).Split(' ');
            if (isFirst && string.Join(' ', words) != Identity())
            {
                return absent;   // another cluster, or this node under another name
            }
            isFirst = false;
            kind = null;
            if (words is ["kind", var name, var apiVersion, var state, var seconds] && long.TryParse(seconds, NumberStyles.None, CultureInfo.InvariantCulture, out var at)
                && at < DateTimeOffset.MaxValue.ToUnixTimeSeconds())
            {
                kind = kinds.FirstOrDefault(one => one.Watch.Kind.ToString() == name);
                version = apiVersion;
                if (state == "absent")
                {
                    absent.Add(name);
                }
                else
                {
                    kind?.Watch.Keep(DateTimeOffset.FromUnixTimeSeconds(at));
                }
            }
        }
        return absent;
    }

    /// <summary>Replaces the file by the objects that are known now.</summary>
    /// <param name="kinds">The kinds, the most important ones first.</param>
    /// <param name="now">The time.</param>
    public void Save(IReadOnlyCollection<RememberedKind> kinds, DateTimeOffset now)
    {
        var text = new ChunkedText();
        Line(text, Identity());
        using var json = new Utf8JsonWriter(text);
        var omitted = new List<string>();
        foreach (var kind in kinds)
        {
            var (watch, start) = (kind.Watch, text.Length);
            var at = watch.KeptAt ?? now - watch.Age;
            if (watch.Knowledge == Knowledge.None && watch.KeptAt is null)
            {
                continue;
            }
            var isAbsent = watch.Knowledge == Knowledge.Absent;
            Line(text, string.Create(CultureInfo.InvariantCulture,
                $"kind {watch.Kind} {watch.Kind.ApiVersion(watch.Kind.Versions[0])} {(isAbsent ? "absent" : "known")} {at.ToUnixTimeSeconds()}"));
            var isTooLarge = false;
            if (!isAbsent)
            {
                kind.Write(write =>
                {
                    if (isTooLarge |= text.Length > MaxBytes)
                    {
                        return;
                    }
                    json.Reset(text);
                    write(json);
                    json.Flush();
                    text.Write("\n"u8);
                });
            }
            if (isTooLarge || text.Length > MaxBytes)
            {
                omitted.Add(watch.Kind.ToString());
                text.Cut(start);
            }
        }
        var written = text.Written;
        var sum = Crc32C.Add(0, in written);
        if (sum == _written)
        {
            return;
        }
        var problem = directory.Write(FileName, Format, in written);
        _written = problem is null ? sum : 0;
        Say(problem ?? (omitted.Count > 0 ? $"{string.Join(", ", omitted)} would need more than {MaxBytes >> 20} MiB" : null));
    }

    private static void Line(ChunkedText text, string line)
    {
        text.Write(Encoding.UTF8.GetBytes(line));
        text.Write("\n"u8);
    }

    /// <summary>Identifies the cluster and the node: the objects of another cluster must not come into force.</summary>
    private string Identity()
    {
        var authority = 0u;
        try
        {
            authority = options.Access.AuthorityFile is { } file ? Crc32C.Add(0, File.ReadAllBytes(file)) : 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Requests to the server fail too, and say why.
        }
        return string.Create(CultureInfo.InvariantCulture, $"cluster {options.Access.Server} {authority:x8} {options.NodeName ?? "-"}");
    }

    private static void Take(RememberedKind? kind, string apiVersion, ReadOnlyMemory<byte> line)
    {
        try
        {
            var json = new ReadOnlySequence<byte>(line);
            kind?.Sink.Take(ApiJson.Named(ApiJson.HeadOf(in json)), apiVersion, in json);
        }
        catch (JsonException)
        {
            // Written by another version. The server will send it again.
        }
    }

    private void Say(string? problem)
    {
        if (problem is not null && problem != _said)
        {
            LogNotKept(TerminalText.Escape(problem));
        }
        _said = problem;
    }

    [LoggerMessage(EventIds.ClusterNotKept, LogLevel.Warning,
        "Kubernetes: the last known objects cannot be kept: {Reason}. An agent that starts while the API server is unavailable does not know them")]
    private partial void LogNotKept(string reason);

    [LoggerMessage(EventIds.KeptClusterUnreadable, LogLevel.Warning, "Kubernetes: the objects that the agent before has kept cannot be used: {Reason}")]
    private partial void LogUnreadable(string reason);
}
