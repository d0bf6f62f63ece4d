using Keepalive.Config;
using Keepalive.Config.Reading;
using Keepalive.Linux.Files;

namespace Keepalive.Agent.Policies;

/// <summary>The policy files. It reads them as they were at one moment, and again after a change that is complete.</summary>
/// <param name="paths">Files and directories.</param>
/// <param name="keepsTexts">Whether the texts of the files are needed.</param>
/// <param name="time">The clock.</param>
internal sealed class WatchedFiles(IReadOnlyList<string> paths, bool keepsTexts, TimeProvider time)
{
    /// <summary>How long changed files must stay unchanged before they are read. A file that is written line by line is incomplete
    /// before.</summary>
    private static readonly TimeSpan s_stillFor = TimeSpan.FromSeconds(1);

    private List<SeenFile> _read = [];
    private List<SeenFile>? _changing;
    private long _changingSince;

    /// <summary>Whether the files have just changed, and may still be incomplete.</summary>
    public bool IsChanging => _changing is not null;

    /// <summary>Reads all files as they were at one moment. If one changes during the read, as in an update of a ConfigMap, it reads all
    /// again.</summary>
    /// <param name="mayBeEmpty">Whether a directory may hold no files. An empty file is probably still being written.</param>
    public FilesRead Read(bool mayBeEmpty)
    {
        const int most = 5;
        _changing = null;
        for (var tries = 1; ; tries++)
        {
            _read = Look();
            var texts = new Dictionary<string, string>(StringComparer.Ordinal);
            var read = PolicyReader.Read(paths, (path, text) =>
            {
                if (keepsTexts)
                {
                    texts[path] = text;
                }
            });
            if (tries == most || Look().SequenceEqual(_read))
            {
                read = mayBeEmpty ? read with { Diagnostics = read.Diagnostics.RemoveAll(AboutEmptyDirectory) } : read;
                return new FilesRead(read, texts, read.IsWhole && !read.Diagnostics.Any(AboutEmptyDirectory));
            }
        }
    }

    /// <summary>Whether the files differ from those that were read, and have not changed for long enough.</summary>
    public bool HaveChanged()
    {
        var now = Look();
        if (now.SequenceEqual(_read))
        {
            _changing = null;
        }
        else if (_changing is null || !now.SequenceEqual(_changing))
        {
            (_changing, _changingSince) = (now, time.GetTimestamp());
        }
        else
        {
            return time.GetElapsedTime(_changingSince) >= s_stillFor;
        }
        return false;
    }

    private static bool AboutEmptyDirectory(Diagnostic diagnostic) =>
        diagnostic.Code == DiagnosticCatalog.NoDocuments.Code && Directory.Exists(diagnostic.Position.File);

    /// <summary>Returns what differs whenever a file is written, replaced, added or removed. It follows links, because an update of a mounted
    /// ConfigMap replaces a link.</summary>
    private List<SeenFile> Look()
    {
        var seen = new List<SeenFile>(paths.Count);
        foreach (var path in paths)
        {
            try
            {
                IEnumerable<string> files = Directory.Exists(path) ? Directory.EnumerateFiles(path).Order(StringComparer.Ordinal) : [path];
                foreach (var file in files)
                {
                    seen.Add(new SeenFile(file, FileStamp.Of(file), null));
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                seen.Add(new SeenFile(path, null, e.GetType()));
            }
        }
        return seen;
    }

    /// <param name="Path">A file, or a directory that cannot be listed.</param>
    /// <param name="Stamp">The state of the file; null where there is none.</param>
    /// <param name="Failure">Why the directory cannot be listed.</param>
    private readonly record struct SeenFile(string Path, FileStamp? Stamp, Type? Failure);
}
