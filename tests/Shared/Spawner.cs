using System.Collections.Concurrent;
using System.Diagnostics;

namespace Keepalive.Testbed;

/// <summary>Starts processes from one thread that lives as long as this process.</summary>
/// <remarks>
/// PR_SET_PDEATHSIG fires when the <em>thread</em> that created the child ends, and a pool thread may end at any time. Children started
/// here through <c>setpriv --pdeathsig KILL</c> die when this process does, however it does, and never earlier. setpriv and nsenter exec,
/// so the process id is the program's own.
/// </remarks>
internal static class Spawner
{
    private static readonly BlockingCollection<Action> s_work = StartThread();

    /// <summary>A prefix that makes the kernel kill the program together with this process.</summary>
    public static IEnumerable<string> Tied(IEnumerable<string> command) => ["setpriv", "--pdeathsig", "KILL", "--", .. command];

    /// <summary>Starts <paramref name="command"/> (found on PATH) with all three streams redirected.</summary>
    public static Process Start(IEnumerable<string> command, IReadOnlyDictionary<string, string?>? environment = null, string? directory = null)
    {
        string[] words = [.. command];
        var info = new ProcessStartInfo(words[0], words[1..])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = directory ?? "",
        };
        // Some output depends on the cloud of the machine that the tests run on.
        info.Environment["KEEPALIVE_DMI"] = "/nonexistent";
        foreach (var (name, value) in environment ?? new Dictionary<string, string?>())
        {
            info.Environment[name] = value;
        }

        var started = new TaskCompletionSource<Process>(TaskCreationOptions.RunContinuationsAsynchronously);
        s_work.Add(() =>
        {
            try
            {
                started.SetResult(Process.Start(info)!);
            }
            catch (Exception e) when (e is System.ComponentModel.Win32Exception or InvalidOperationException)
            {
                started.SetException(e);
            }
        });
        return started.Task.GetAwaiter().GetResult();
    }

    private static BlockingCollection<Action> StartThread()
    {
        var work = new BlockingCollection<Action>();
        new Thread(() =>
        {
            foreach (var action in work.GetConsumingEnumerable())
            {
                action();
            }
        })
        { IsBackground = true, Name = "spawner" }.Start();
        return work;
    }
}
