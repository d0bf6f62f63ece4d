using System.Globalization;

namespace Keepalive.Testbed;

/// <summary>A cgroup of the test's own for some of its processes.</summary>
/// <remarks>It is removed when it is empty. A killed test run leaves an empty one, which the next run removes.</remarks>
internal sealed class TestCgroup : IDisposable
{
    private const string Prefix = "keepalive-test-";

    private static int s_made;

    /// <param name="suffix">The end of its name.</param>
    public TestCgroup(string suffix = "")
    {
        var root = Root ?? throw new InvalidOperationException("no cgroup version 2 hierarchy is mounted");
        RemoveAbandoned(root);
        Path = System.IO.Path.Combine(root, string.Create(
            CultureInfo.InvariantCulture, $"{Prefix}{Environment.ProcessId}-{Interlocked.Increment(ref s_made)}-{Random.Shared.Next():x}{suffix}"));
        Directory.CreateDirectory(Path);
    }

    /// <summary>The mount point of the version 2 hierarchy, null where it is not mounted.</summary>
    public static string? Root => File.ReadLines("/proc/self/mountinfo")
        .Where(line => line.Contains(" - cgroup2 ", StringComparison.Ordinal)).Select(line => line.Split(' ')[4]).FirstOrDefault();

    public string Path { get; }

    /// <summary>The name of its directory.</summary>
    public string Name => System.IO.Path.GetFileName(Path);

    /// <summary>Moves a process to the root of the hierarchy.</summary>
    public static void AddToRoot(int pid) => File.WriteAllText(System.IO.Path.Combine(Root!, "cgroup.procs"), pid.ToString(CultureInfo.InvariantCulture));

    /// <summary>Moves a process in. Its existing sockets stay in the cgroup where they were made.</summary>
    public void Add(int pid) => File.WriteAllText(System.IO.Path.Combine(Path, "cgroup.procs"), pid.ToString(CultureInfo.InvariantCulture));

    /// <summary>Moves all of its processes to another cgroup.</summary>
    public void MoveTo(TestCgroup other)
    {
        foreach (var pid in File.ReadAllLines(System.IO.Path.Combine(Path, "cgroup.procs")))
        {
            other.Add(int.Parse(pid, CultureInfo.InvariantCulture));
        }
    }

    /// <summary>Removes it once its processes have exited.</summary>
    public void Dispose() => Eventually.True(() => TryRemove(Path), TimeSpan.FromSeconds(10));

    private static bool TryRemove(string path)
    {
        try
        {
            Directory.Delete(path);
            return true;
        }
        catch (DirectoryNotFoundException)
        {
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static void RemoveAbandoned(string root)
    {
        // In a PID namespace of its own every other process would look like an exited one.
        if (new FileInfo("/proc/self/ns/pid").LinkTarget != "pid:[4026531836]")
        {
            return;
        }

        foreach (var path in Directory.GetDirectories(root, Prefix + "*"))
        {
            var pid = System.IO.Path.GetFileName(path)[Prefix.Length..].Split('-')[0];
            if (!Directory.Exists($"/proc/{pid}"))
            {
                TryRemove(path);
            }
        }
    }
}
