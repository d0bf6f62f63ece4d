using System.Globalization;

namespace Keepalive.Testbed;

/// <summary>The descendants of a process, and their namespaces and files.</summary>
internal static class ProcessTree
{
    /// <summary>The descendants of a process, with pids of this PID namespace.</summary>
    public static HashSet<int> Descendants(int pid)
    {
        var parents = new Dictionary<int, int>();
        foreach (var process in Processes())
        {
            try
            {
                // pid (command) state ppid …; the command may contain any character.
                var stat = File.ReadAllText($"{process}/stat");
                parents[Number(Path.GetFileName(process))] = Number(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1]);
            }
            catch (IOException)
            {
                // The process has exited meanwhile.
            }
        }
        HashSet<int> found = [pid];
        for (var before = 0; before != found.Count;)
        {
            before = found.Count;
            found.UnionWith(parents.Where(process => found.Contains(process.Value)).Select(process => process.Key).ToArray());
        }
        found.Remove(pid);
        return found;
    }

    /// <summary>A process's command line, with its arguments separated by spaces; empty after its exit.</summary>
    public static string CommandLine(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/cmdline").Replace('\0', ' ').TrimEnd();
        }
        catch (IOException)
        {
            return "";
        }
    }

    /// <summary>The open files of a process; none after its exit.</summary>
    public static IReadOnlyList<string> OpenFiles(int pid)
    {
        try
        {
            return [.. Directory.EnumerateFiles($"/proc/{pid}/fd").Select(link => new FileInfo(link).LinkTarget ?? "")];
        }
        catch (IOException)
        {
            return [];
        }
    }

    /// <summary>The network namespaces that a process, an open descriptor or a mount keeps alive.</summary>
    public static HashSet<string> NetworkNamespaces(Func<int, bool>? of = null)
    {
        var found = new HashSet<string>(StringComparer.Ordinal);
        foreach (var process in Processes().Where(process => of?.Invoke(Number(Path.GetFileName(process))) ?? true))
        {
            try
            {
                found.UnionWith(new[] { $"{process}/ns/net" }.Concat(Directory.EnumerateFiles($"{process}/fd"))
                    .Select(link => new FileInfo(link).LinkTarget ?? "")
                    .Concat(File.ReadLines($"{process}/mountinfo").Select(line => line.Split(' ')[3]))
                    .Where(target => target.StartsWith("net:[", StringComparison.Ordinal)));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // The process has exited meanwhile.
            }
        }
        return found;
    }

    private static IEnumerable<string> Processes() => Directory.GetDirectories("/proc").Where(path => char.IsAsciiDigit(Path.GetFileName(path)[0]));

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
