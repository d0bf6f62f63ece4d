using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Keepalive.Simulator.Lab;

/// <summary>Own PID, mount and network namespaces: an agent inside sees the lab and nothing else, and nothing outlives it.</summary>
/// <remarks>
/// The runtime has threads and a process with threads cannot enter a user namespace (unshare(2): EINVAL), so unshare(1) does it and starts
/// this program again.
/// <code>
///   keepalive-sim lab ──► unshare ──► keepalive-sim lab-inside (PID 1) ──► client, server, agent
///        stdin pipe ────────────────────────────► ends with it
/// </code>
/// If one of the first two ends, however it ends, the rest ends as well: PID 1 ends when its standard input does, or by --kill-child, and the
/// kernel ends everything in a PID namespace together with its PID 1.
/// </remarks>
internal sealed class Sandbox
{
    private const string Prefix = "keepalive-";

    /// <summary>In each directory that was made here.</summary>
    private const string Mark = "made-by-keepalive-sim";

    private static readonly string[] s_namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    private static readonly string[] s_asOwnRoot = ["--user", "--map-root-user"];

    private readonly string[] _options;

    private Sandbox(string[] options) => _options = options;

    /// <summary>The sandbox these privileges allow; null, with the cause and what to do, where they allow none.</summary>
    /// <param name="what">The command that needs one, for the message.</param>
    /// <param name="reason">Why there is none.</param>
    public static Sandbox? TryFind(string what, out string reason)
    {
        reason = "";
        if (Environment.IsPrivilegedProcess && Try(s_namespaces) is null)
        {
            return new Sandbox(s_namespaces);
        }
        string[] options = [.. s_asOwnRoot, .. s_namespaces];
        if (Try(options) is not { } error)
        {
            return new Sandbox(options);
        }
        reason = NamespaceObstacle.Explain(what, error, NamespaceObstacle.Read);
        return null;
    }

    /// <summary>Runs a command line inside, on this process's own output, to its end. A signal that would end this process ends that.</summary>
    /// <returns>Its exit code, or 128 + the signal's number where one came and stopped it.</returns>
    public (int ExitCode, bool WasStopped) Run(IEnumerable<string> command)
    {
        string[] line = [.. Tool.Command(Tool.Unshare, _options), "--", .. command];
        var info = new ProcessStartInfo(line[0], line[1..]) { RedirectStandardInput = true, UseShellExecute = false };
        // Programs that are killed would leave the runtime's diagnostic sockets behind in /tmp.
        info.Environment["DOTNET_EnableDiagnostics"] = "0";
        using var process = Process.Start(info)!;
        var stoppedBy = 0;
        using var interrupt = On(PosixSignal.SIGINT, () => Stop(128 + 2));
        using var terminate = On(PosixSignal.SIGTERM, () => Stop(128 + 15));
        using var hangUp = On(PosixSignal.SIGHUP, () => Stop(128 + 1));
        process.WaitForExit();
        return Volatile.Read(ref stoppedBy) is not 0 and var code ? (code, true) : (process.ExitCode, false);

        void Stop(int code)
        {
            Volatile.Write(ref stoppedBy, code);
            process.StandardInput.Close();
        }
    }

    /// <summary>Ends this process, and so everything in its PID namespace, when the one that started it is gone.</summary>
    /// <param name="directory">The directory to remove then.</param>
    /// <param name="last">An action to run before.</param>
    public static void EndWithStarter(string directory, Action last)
    {
        // A terminal sends these to both; the starter decides. Not disposed: they hold for the life of the process.
        _ = On(PosixSignal.SIGINT, () => { });
        _ = On(PosixSignal.SIGHUP, () => { });
        _ = On(PosixSignal.SIGTERM, () => End(directory, last));
        var input = Console.OpenStandardInput();
        new Thread(() =>
        {
            while (input.ReadByte() >= 0)
            {
            }
            End(directory, last);
        })
        { IsBackground = true, Name = "starter" }.Start();
    }

    /// <summary>Makes a directory for what only lasts as long as the sandbox.</summary>
    public static string CreateDirectory(string what)
    {
        var directory = Directory.CreateTempSubdirectory($"{Prefix}{what}-").FullName;
        File.WriteAllText(Path.Combine(directory, Mark), "");
        return directory;
    }

    /// <summary>
    /// Whether this is the first process of a sandbox with its directory. Anybody may give the command by hand, and the directory is removed in
    /// the end with all there is in it.
    /// </summary>
    public static bool IsInside(string directory) => Environment.ProcessId == 1
        && Path.GetFileName(directory).StartsWith(Prefix, StringComparison.Ordinal)
        && File.Exists(Path.Combine(directory, Mark));

    /// <summary>Removes a directory that <see cref="CreateDirectory"/> has made. The other process may be at it too, and an agent be writing into it.</summary>
    public static void Remove(string directory)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                Directory.Delete(directory, recursive: true);
                return;
            }
            catch (DirectoryNotFoundException)
            {
                return;
            }
            catch (IOException) when (attempt < 10)
            {
                Thread.Sleep(20);
            }
            catch (IOException e)
            {
                Console.Error.WriteLine($"keepalive-sim: {directory} cannot be removed: {e.Message}");
                return;
            }
        }
    }

    private static PosixSignalRegistration On(PosixSignal signal, Action action) => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        action();
    });

    private static void End(string directory, Action last)
    {
        last();
        Remove(directory);
        Environment.Exit(ExitCodes.Failed);
    }

    /// <summary>The error of unshare with these options; null if there is none.</summary>
    private static string? Try(string[] options)
    {
        var result = Tool.Run([.. Tool.Command(Tool.Unshare, options), "--", "true"]);
        return result.ExitCode == 0 ? null : result.Error.Trim();
    }
}
