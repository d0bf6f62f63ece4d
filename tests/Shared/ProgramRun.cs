using System.Diagnostics;

namespace Keepalive.Testbed;

/// <summary>One of the two programs, running as a process of its own.</summary>
/// <remarks>
/// It is started through <see cref="Spawner.Tied"/>: the kernel kills it when the test process ends, even when that was killed. No wrapper
/// stays in between, so signals and the exit code are the program's own.
/// </remarks>
internal sealed class ProgramRun : IDisposable
{
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly string _commandLine;
    private readonly List<string> _output = [];
    private readonly List<string> _error = [];
    private readonly Task _copying;

    /// <summary>Starts a command line; <see cref="Agent"/> and <see cref="Simulator"/> know where the programs are.</summary>
    public ProgramRun(
        IEnumerable<string> command, Holder? inside = null, IReadOnlyDictionary<string, string?>? environment = null, string? directory = null)
    {
        string[] words = [.. Spawner.Tied(command)];
        _commandLine = string.Join(' ', words);
        _process = Spawner.Start(inside?.Inside(words) ?? words, environment, directory);
        _process.StandardInput.Close();
        _copying = Task.WhenAll(Copy(_process.StandardOutput, _output), Copy(_process.StandardError, _error));
    }

    public static string AgentPath => Find("keepalive-agent", "KEEPALIVE_AGENT", "Agent");

    public static string SimulatorPath => Find("keepalive-sim", "KEEPALIVE_SIM", "Simulator");

    public int Pid => _process.Id;

    public bool HasExited => _process.HasExited;

    public string Output => Text(_output);

    public string Error => Text(_error);

    /// <summary>Starts keepalive-agent in this process's namespaces.</summary>
    public static ProgramRun Agent(params string[] arguments) => new([AgentPath, .. arguments]);

    /// <summary>Starts keepalive-agent in the network namespace of <paramref name="inside"/>.</summary>
    public static ProgramRun AgentInside(Holder inside, params string[] arguments) => new([AgentPath, .. arguments], inside);

    /// <summary>Starts keepalive-sim in this process's namespaces.</summary>
    public static ProgramRun Simulator(params string[] arguments) => new([SimulatorPath, .. arguments]);

    /// <summary>Runs a command line to its end.</summary>
    public static CommandResult ToEnd(IEnumerable<string> command, Holder? inside = null, TimeSpan? timeout = null)
    {
        using var run = new ProgramRun(command, inside);
        int exitCode = run.WaitForExit(timeout);
        return new CommandResult(exitCode, run.Output, run.Error);
    }

    /// <summary>Waits for a line on either stream, past or to come.</summary>
    public string WaitForLine(Func<string, bool> wanted, TimeSpan? timeout = null)
    {
        var clock = Stopwatch.StartNew();
        for (; ; )
        {
            bool complete = _copying.IsCompleted;
            foreach (var lines in new[] { _output, _error })
            {
                lock (lines)
                {
                    if (lines.Find(line => wanted(line)) is { } line)
                    {
                        return line;
                    }
                }
            }

            if (complete || clock.Elapsed > (timeout ?? DefaultTimeout))
            {
                throw new TimeoutException(Report(complete ? "ended without the line waited for" : "did not write the line waited for in time"));
            }

            _copying.Wait(TimeSpan.FromMilliseconds(10));
        }
    }

    /// <summary>Waits for the end.</summary>
    /// <returns>The exit code; 128 + the signal's number when one ended it.</returns>
    public int WaitForExit(TimeSpan? timeout = null)
    {
        if (!_process.WaitForExit(timeout ?? DefaultTimeout) || !_copying.Wait(DefaultTimeout))
        {
            throw new TimeoutException(Report("did not end in time"));
        }

        return _process.ExitCode;
    }

    /// <summary>Asks it to stop, as systemd and the kubelet do.</summary>
    public void Terminate() => Command.Signal(_process, "TERM");

    public void Signal(string name) => Command.Signal(_process, name);

    /// <summary>Ends it at once, as the out-of-memory killer would.</summary>
    public void Kill() => _process.Kill();

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit(TimeSpan.FromSeconds(10));
        }

        _process.Dispose();
    }

    private static async Task Copy(StreamReader from, List<string> to)
    {
        while (await from.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            lock (to)
            {
                to.Add(line);
            }
        }
    }

    private static string Text(List<string> lines)
    {
        lock (lines)
        {
            return string.Concat(lines.Select(line => line + "\n"));
        }
    }

    private static string Find(string program, string variable, string project)
    {
        string[] candidates =
        [
            Path.Combine(Repository.Root, "out", program),
            Path.Combine(Repository.Root, "src", project, "bin", Repository.Configuration, "net10.0", program),
        ];
        return Environment.GetEnvironmentVariable(variable) is { Length: > 0 } named
            ? named
            : candidates.FirstOrDefault(File.Exists)
                ?? throw new FileNotFoundException($"{program} has not been built: none of {string.Join(", ", candidates)}; set {variable} or run make build");
    }

    private string Report(string what) => $"{_commandLine} {what}\nstdout:\n{Output}stderr:\n{Error}";
}
