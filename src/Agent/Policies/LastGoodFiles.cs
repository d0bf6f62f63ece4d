using System.Collections.Immutable;
using System.Text;
using Keepalive.Agent.Log;
using Keepalive.Config;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
using Keepalive.Linux.Files;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Policies;

/// <summary>The last good content of each policy file. A file with errors counts with it, so that a mistake in one file changes nothing, and also
/// not when the agent is started again.</summary>
/// <remarks>
/// <code>
///   read ──► Judge: good files, and the last good content of the others ──► compiled without errors ──► Accept: kept in memory and on disk
/// </code>
/// In memory it is the objects, on disk the text, for all files in one file of the data directory, which is replaced as a whole.
/// </remarks>
/// <param name="directory">The data directory; null to keep the content in memory only.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">The log.</param>
internal sealed partial class LastGoodFiles(DataDirectory? directory, TimeProvider time, ILogger logger)
{
    /// <summary>The name of the file with the content of all policy files.</summary>
    public const string FileName = "policies";

    /// <summary>The maximum size of one file. A ConfigMap holds at most 1 MiB.</summary>
    public const int MaxOfAFile = 4 * 1024 * 1024;

    /// <summary>The maximum size of all files together.</summary>
    public const int MaxInAll = 16 * 1024 * 1024;

    private const int MaxFiles = 1000;

    private readonly Dictionary<string, (ImmutableArray<Resource> Resources, DateTimeOffset At)> _known = new(StringComparer.Ordinal);
    private bool _isLoaded;
    private string? _said;

    /// <summary>Returns the objects that count.</summary>
    /// <param name="read">The files as they are.</param>
    /// <param name="onlyKept">Whether to replace the content of all files, because together they cannot be used.</param>
    public FilesInForce Judge(FilesRead read, bool onlyKept = false)
    {
        LoadOnce();
        var result = read.Result;
        var errors = result.Diagnostics.Where(static diagnostic => diagnostic.Severity == Severity.Error).ToLookup(static diagnostic => diagnostic.Position.File);
        var objects = result.Resources.All.ToLookup(static resource => resource.Position.File);
        var good = result.Found.Where(file => !onlyKept && !errors.Contains(file)).ToHashSet(StringComparer.Ordinal);
        var taken = good.SelectMany(file => objects[file]).GroupBy(NameOf).ToDictionary(static group => group.Key, static group => group.First().Position.File);
        var moved = new Dictionary<string, string>(StringComparer.Ordinal);
        var resources = ImmutableArray.CreateBuilder<Resource>();
        // Files that are neither found nor known to be removed are those of a directory that cannot be searched.
        List<string> unseen = read.IsWhole ? [] : [.. _known.Keys.Except(result.Found).Order(StringComparer.Ordinal)];
        foreach (var file in result.Found.Concat(unseen))
        {
            if (good.Contains(file))
            {
                resources.AddRange(objects[file]);
            }
            else if (_known.TryGetValue(file, out var known))
            {
                // An object that another file has now was moved there.
                var left = known.Resources.Where(resource => taken.TryAdd(NameOf(resource), file)).ToList();
                resources.AddRange(left);
                if (left.Count == 0 && !known.Resources.IsEmpty)
                {
                    moved[file] = taken[NameOf(known.Resources[0])];
                }
            }
        }
        var places = errors.Select(group => group.Key).Order(StringComparer.Ordinal);
        ImmutableArray<BrokenFile> broken =
            [.. places.Select(place => new BrokenFile(place, [.. errors[place]], GoodAt(place, unseen)) { MovedTo = moved.GetValueOrDefault(place) })];
        return new FilesInForce(
            new ResourceSet(resources.ToImmutable()), [.. result.Diagnostics.Where(diagnostic => good.Contains(diagnostic.Position.File))], broken)
        {
            IsLacking = broken.Any(static file => file.GoodAt is null) || (onlyKept && !result.Found.All(_known.ContainsKey)),
        };
    }

    /// <summary>Whether a path leads nowhere and never did: it is mistyped.</summary>
    public bool IsUnknown(string path)
    {
        LoadOnce();
        return !Path.Exists(path) && !_known.Keys.Any(file => file == path || IsBelow(file, path));
    }

    /// <summary>Keeps the content of files that were compiled without errors, and removes the content of files that are gone.</summary>
    public void Accept(FilesRead read, FilesInForce inForce)
    {
        var broken = inForce.Broken.Select(static file => file.Path).ToHashSet(StringComparer.Ordinal);
        var objects = read.Result.Resources.All.ToLookup(static resource => resource.Position.File);
        var onDisk = (ReadDisk(out _) ?? []).ToDictionary(static file => file.Path, StringComparer.Ordinal);
        var kept = new List<KeptFile>();
        var (size, tooLarge) = (0L, 0);
        foreach (var gone in read.IsWhole ? [.. _known.Keys.Except(read.Result.Found)] : Array.Empty<string>())
        {
            _known.Remove(gone);
        }
        foreach (var file in read.Result.Found.Concat(_known.Keys.Except(read.Result.Found).Order(StringComparer.Ordinal)).ToList())
        {
            var before = onDisk.GetValueOrDefault(file);
            var now = before;
            if (!broken.Contains(file) && read.Texts.TryGetValue(file, out var text))
            {
                var bytes = Encoding.UTF8.GetBytes(text);
                var isSame = before is not null && before.Text.Span.SequenceEqual(bytes);
                now = isSame ? before : new KeptFile(file, time.GetUtcNow(), bytes);
                _known[file] = ([.. objects[file]], now!.At);
            }
            if (now is null)
            {
                continue;
            }
            if (now.Text.Length > MaxOfAFile || size + now.Text.Length > MaxInAll || kept.Count == MaxFiles)
            {
                tooLarge++;
                continue;
            }
            size += now.Text.Length;
            kept.Add(now);
        }
        if (tooLarge > 0)
        {
            Say($"{tooLarge} of {tooLarge + kept.Count} policy files are not kept: at most {MaxOfAFile >> 20} MiB of a file, {MaxInAll >> 20} MiB and {MaxFiles} files in all are");
        }
        if (directory is not null && !(kept.Count == onDisk.Count && kept.All(file => onDisk.TryGetValue(file.Path, out var same) && file.IsSameAs(same))))
        {
            Say(directory.Write(FileName, KeptFile.Format, KeptFile.Write(kept)) ?? (tooLarge > 0 ? _said : null));
        }
    }

    private static (string Kind, string Name) NameOf(Resource resource) => (resource.Kind, resource.QualifiedName);

    private static bool IsBelow(string file, string directory) => file.StartsWith(directory.TrimEnd('/') + "/", StringComparison.Ordinal);

    /// <summary>Returns when the content that counts for a file was loaded; for a directory, that of its oldest file.</summary>
    private DateTimeOffset? GoodAt(string place, List<string> unseen)
    {
        if (_known.TryGetValue(place, out var known))
        {
            return known.At;
        }
        var below = unseen.Where(file => IsBelow(file, place)).Select(file => _known[file].At).ToList();
        return below.Count > 0 ? below.Min() : null;
    }

    private List<KeptFile>? ReadDisk(out string? problem)
    {
        problem = null;
        if (directory?.Read(FileName, KeptFile.Format, MaxInAll * 2, out problem) is not { } content)
        {
            return null;
        }
        var files = KeptFile.Read(content);
        problem = files is null ? $"{Path.Combine(directory.Location, FileName)} is damaged" : null;
        return files;
    }

    /// <summary>Reads the content that an earlier agent kept.</summary>
    private void LoadOnce()
    {
        if (_isLoaded)
        {
            return;
        }
        _isLoaded = true;
        var files = ReadDisk(out var problem) ?? [];
        foreach (var file in files)
        {
            var read = PolicyReader.ReadText(Encoding.UTF8.GetString(file.Text.Span), $"{file.Path} (last good content)");
            if (read.HasErrors)
            {
                problem ??= $"the content of {file.Path} that an earlier version kept has errors now: {read.Diagnostics.First(static one => one.Severity == Severity.Error)}";
                continue;
            }
            _known[file.Path] = (read.Resources.All, file.At);
        }
        if (problem is not null && problem != directory?.Problem)
        {
            LogUnreadable(TerminalText.Escape(problem));
        }
        if (directory?.Problem is { } obstacle)
        {
            Say(obstacle);
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

    [LoggerMessage(EventIds.PoliciesNotKept, LogLevel.Warning,
        "The last good policies cannot be kept: {Reason}. After a restart of the agent, a file with errors is ignored")]
    private partial void LogNotKept(string reason);

    [LoggerMessage(EventIds.KeptPoliciesUnreadable, LogLevel.Warning, "The last good policies of the agent before cannot be used: {Reason}. A file with errors is ignored")]
    private partial void LogUnreadable(string reason);
}
