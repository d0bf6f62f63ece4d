using System.Diagnostics;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>Namespaces for each scenario: a scenario sees only its own lab, and nothing of it remains afterwards.</summary>
/// <remarks>
/// The scenario runs in a second process of this program, the first of a PID namespace: when it ends, or this process does, the kernel
/// kills everything in there. Files are kept in a tmpfs that only that process's mount namespace has.
/// </remarks>
internal static class Workspace
{
    /// <summary>The argument that marks the second process.</summary>
    public const string Inside = "--inside";

    /// <summary>A directory in memory, empty at first, for the files of a scenario.</summary>
    public const string Directory = "/run";

    private const string MountThenRun = "mount -t tmpfs -o mode=755 keepalive-bench /run && ip link set lo up && exec \"$0\" \"$@\"";

    /// <summary>Runs this program with <paramref name="arguments"/> inside; returns its exit code.</summary>
    public static int Run(IEnumerable<string> arguments, TimeSpan limit)
    {
        var program = Environment.ProcessPath ?? throw new InvalidOperationException("this process has no path");
        string[] own = Path.GetFileNameWithoutExtension(program) == "dotnet" ? [program, typeof(Workspace).Assembly.Location] : [program];
        string[] command =
        [
            .. Spawner.Tied(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--net", "--", "sh", "-c", MountThenRun]),
            .. own, Inside, .. arguments,
        ];
        // Started from the main thread, which ends last: PR_SET_PDEATHSIG is bound to the thread.
        using var process = Process.Start(new ProcessStartInfo(command[0], command[1..]) { UseShellExecute = false })!;
        if (process.WaitForExit(limit))
        {
            return process.ExitCode;
        }
        process.Kill();
        process.WaitForExit();
        Console.Error.WriteLine($"bench: not done after {limit.TotalSeconds:0} s");
        return 1;
    }
}
