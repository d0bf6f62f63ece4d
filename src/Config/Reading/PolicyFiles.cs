using System.Text;
using System.Text.Unicode;

namespace Keepalive.Config.Reading;

/// <summary>Finds and opens policy files; whatever goes wrong is a diagnostic.</summary>
internal sealed class PolicyFiles(DiagnosticBag diagnostics, Stream? standardInput = null)
{
    /// <summary>The name of the standard input, which is the argument for it: tools that read positions know it, too.</summary>
    private const string InputName = "-";

    private readonly HashSet<string> _seen = new(StringComparer.Ordinal);
    private long _bytesRead;

    /// <summary>Files that were read.</summary>
    public int Count { get; private set; }

    /// <summary>The files that were found, also those that could not be read.</summary>
    public List<string> Found { get; } = [];

    /// <summary>Whether every given path could be searched. If not, there may be more files than were found.</summary>
    public bool IsWhole { get; private set; } = true;

    /// <summary>The texts of the files that paths name, each file once, in the order given; a directory's files by name.</summary>
    public IEnumerable<(string Path, string Text)> Read(IEnumerable<string> paths)
    {
        foreach (var file in paths.SelectMany(Expand))
        {
            if (file == "-" && standardInput is not null)
            {
                if (_seen.Add(file) && ReadInput(standardInput) is { } input)
                {
                    Count++;
                    yield return (InputName, input);
                }

                continue;
            }

            if (!_seen.Add(Path.GetFullPath(file)))
            {
                continue;
            }

            if (_seen.Count > InputLimits.Files)
            {
                diagnostics.Report(DiagnosticCatalog.TooLarge, Start(file), $"there are more than {InputLimits.Files} files", "give fewer");
                IsWhole = false;
                yield break;
            }

            Found.Add(file);
            if (TryRead(file) is { } text)
            {
                Count++;
                yield return (file, text);
            }
        }
    }

    /// <summary>A directory's own YAML files as kubectl takes them: not those below it, and none whose name starts with a dot.</summary>
    private IEnumerable<string> Expand(string path)
    {
        if (path.Length == 0 || path.Contains('\0'))
        {
            diagnostics.Report(DiagnosticCatalog.CannotRead, Start(path), "not a path", "give a file or a directory");
            IsWhole = false;
            return [];
        }

        if (!Directory.Exists(path))
        {
            // A path that leads nowhere may have been a directory.
            IsWhole &= File.Exists(path);
            return [path];
        }

        var chart = Path.Combine(path, "Chart.yaml");
        if (File.Exists(chart))
        {
            diagnostics.Report(DiagnosticCatalog.Template, Start(chart), "the directory is a Helm chart, whose templates Helm fills",
                $"check its output: helm template {path} | keepalive-agent check -");
            return [];
        }

        try
        {
            // A mounted ConfigMap keeps its files in ..data and links them beside it; only the links count.
            var options = new EnumerationOptions { IgnoreInaccessible = false, AttributesToSkip = 0, ReturnSpecialDirectories = false };
            List<string> files =
            [
                .. Directory.EnumerateFiles(path, "*", options).Where(IsPolicyFile)
                    .Take(InputLimits.Files + 1).Order(StringComparer.Ordinal),
            ];
            // It does not have the objects that kustomize makes of a directory.
            var kustomization = files.Find(IsKustomization);
            var output = $"check its output: kubectl kustomize {path} | keepalive-agent check -";
            if (files.RemoveAll(IsKustomization) > 0 && files.Count > 0)
            {
                diagnostics.Report(DiagnosticCatalog.SkippedKind, Start(kustomization!), "a kustomization is skipped", output);
            }
            else if (kustomization is not null)
            {
                diagnostics.Report(DiagnosticCatalog.NoDocuments, Start(kustomization), "the directory holds a kustomization and no other *.yaml or *.yml file", output);
            }
            else if (files.Count == 0)
            {
                diagnostics.Report(DiagnosticCatalog.NoDocuments, Start(path), "the directory holds no *.yaml or *.yml file",
                    "give the directory the files are in; subdirectories are not searched");
            }

            return files;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            diagnostics.Report(DiagnosticCatalog.CannotRead, Start(path), $"the directory cannot be read: {Reason(exception)}", null);
            IsWhole = false;
            return [];
        }
    }

    private static bool IsPolicyFile(string path) =>
        Path.GetFileName(path) is var name && !name.StartsWith('.')
        && (name.EndsWith(".yaml", StringComparison.Ordinal) || name.EndsWith(".yml", StringComparison.Ordinal));

    private static bool IsKustomization(string path) => Path.GetFileName(path) is "kustomization.yaml" or "kustomization.yml";

    private string? TryRead(string path)
    {
        try
        {
            // The length is the target's, and is looked at before opening: opening a pipe would wait for its writer.
            var info = new FileInfo(path);
            if (!info.Exists)
            {
                return Refuse(DiagnosticCatalog.CannotRead, path, "there is no such file or directory",
                    "give a YAML file, or a directory of them");
            }

            if (info.LinkTarget is { } link)
            {
                info = File.ResolveLinkTarget(path, returnFinalTarget: true) as FileInfo;
                if (info is not { Exists: true })
                {
                    return Refuse(DiagnosticCatalog.CannotRead, path, $"the link leads to {Quoting.Quote(link)}, which is not a regular file",
                        "give a YAML file, or a directory of them");
                }
            }

            if (info.Length == 0)
            {
                return Refuse(DiagnosticCatalog.NoDocuments, path, "the file is empty, or is a pipe or a device",
                    "give a regular file with a resource in it, or - for the standard input");
            }

            if (info.Length > InputLimits.FileBytes)
            {
                return Refuse(DiagnosticCatalog.TooLarge, path,
                    $"the file has {info.Length} bytes, more than {InputLimits.FileBytes >> 20} MiB", "give a policy file, or split it");
            }

            _bytesRead += info.Length;
            return _bytesRead > InputLimits.TotalBytes
                ? Refuse(DiagnosticCatalog.TooLarge, path, $"the files together have more than {InputLimits.TotalBytes >> 20} MiB",
                    "give fewer")
                : Decode(ReadBytes(info.FullName, (int)info.Length), path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException
            or NotSupportedException or ArgumentException)
        {
            return Refuse(DiagnosticCatalog.CannotRead, path, $"the file cannot be read: {Reason(exception)}", null);
        }
    }

    /// <summary>Reads a stream to its end, or to where it is refused for its size.</summary>
    private string? ReadInput(Stream input)
    {
        try
        {
            using var bytes = new MemoryStream();
            var buffer = new byte[64 * 1024];
            while (input.Read(buffer, 0, buffer.Length) is > 0 and var count)
            {
                bytes.Write(buffer, 0, count);
                if (bytes.Length > InputLimits.FileBytes)
                {
                    return Refuse(DiagnosticCatalog.TooLarge, InputName, $"the text is larger than {InputLimits.FileBytes >> 20} MiB", "split it");
                }
            }

            _bytesRead += bytes.Length;
            return Decode(bytes.ToArray(), InputName);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return Refuse(DiagnosticCatalog.CannotRead, InputName, $"it cannot be read: {Reason(exception)}", "give it a file or a pipe");
        }
    }

    private static byte[] ReadBytes(string path, int length)
    {
        using var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var bytes = new byte[length];
        var read = 0;
        while (read < length && RandomAccess.Read(handle, bytes.AsSpan(read), read) is > 0 and var count)
        {
            read += count;
        }

        return read == length ? bytes : bytes[..read];
    }

    private string? Decode(byte[] bytes, string path)
    {
        if (bytes is [0xff, 0xfe, ..] or [0xfe, 0xff, ..])
        {
            return Refuse(DiagnosticCatalog.NotText, path, "the file is UTF-16", "save it as UTF-8");
        }

        if (Utf8.IsValid(bytes))
        {
            return Encoding.UTF8.GetString(bytes);
        }

        var valid = 0;
        while (Rune.DecodeFromUtf8(bytes.AsSpan(valid), out _, out var consumed) == System.Buffers.OperationStatus.Done)
        {
            valid += consumed;
        }

        // A control character before it tells more: then the file was never meant to be text.
        var before = Encoding.UTF8.GetString(bytes, 0, valid);
        if (TextCheck.Check(before, path, diagnostics))
        {
            diagnostics.Report(DiagnosticCatalog.NotText, TextCheck.PositionOf(before, path),
                $"the file is not UTF-8 text: byte 0x{bytes[valid]:X2} is not valid here", "save it as UTF-8");
        }

        return null;
    }

    private string? Refuse(DiagnosticKind kind, string path, string message, string? fix)
    {
        diagnostics.Report(kind, Start(path), message, fix);
        return null;
    }

    private static string Reason(Exception exception) => exception switch
    {
        UnauthorizedAccessException => "permission denied",
        PathTooLongException => "the path is too long",
        FileNotFoundException or DirectoryNotFoundException => "it is not there any more",
        _ => Quoting.Shorten(exception.Message),
    };

    private static SourcePosition Start(string path) => new(path.Length == 0 ? "(empty path)" : path, 1, 1);
}
