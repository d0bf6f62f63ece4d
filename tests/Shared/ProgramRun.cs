using System.Diagnostics;

namespace Keepalive.Testbed;

/// <summary>One of the two programs, running as a process of its own.</summary>
/// <remarks>
/// It is started through <see cref="Spawner.Tied"/>: the kernel kills it when the test process ends, even when that was killed. No wrapper
/// stays in between, so signals and the exit code are the program's own.
/// </remarks>
internal sealed class ProgramRun : IDisposable
{
    private const int TailLines = 30;

    private static readonly TimeSpan s_defaultTimeout = TimeSpan.FromSeconds(60);

    /// <summary>Limit for reading the rest of a pipe after its writer has exited. If the pipe is still open then, another process holds
    /// it.</summary>
    private static readonly TimeSpan s_restIsReadWithin = TimeSpan.FromSeconds(5);

    private readonly Process _process;
    private readonly string _commandLine;
    private readonly List<string> _output = [];
    private readonly List<string> _error = [];
    private readonly Task _copying;
    private readonly Stopwatch _sinceEnd = new();
    private volatile bool _mayEnd;

    /// <summary>Starts a command line; <see cref="Agent"/> and <see cref="Simulator"/> know where the programs are.</summary>
    public ProgramRun(
        IEnumerable<string> command, Holder? inside = null, IReadOnlyDictionary<string, string?>? environment = null, string? directory = null)
    {
        string[] words = [.. Spawner.Tied(command)];
        _commandLine = string.Join(' ', words);
        _process = Spawner.Start(inside?.Inside(words) ?? words, environment, directory);
        _process.StandardInput.Close();
        _copying = Task.WhenAll(Copy(_process.StandardOutput, _output), Copy(_process.StandardError, _error));
        StartedPrograms.Add(this);
    }

    public static string AgentPath => Find("keepalive-agent", "KEEPALIVE_AGENT", "Agent");

    /// <summary>The framework-dependent agent of the tests' own build. <see cref="AgentPath"/> is the shipped program.</summary>
    public static string FrameworkDependentAgentPath => Built("keepalive-agent", "Agent");

    /// <summary>The same for the simulator.</summary>
    public static string FrameworkDependentSimulatorPath => Built("keepalive-sim", "Simulator");

    public static string SimulatorPath => Find("keepalive-sim", "KEEPALIVE_SIM", "Simulator");

    public int Pid => _process.Id;

    public bool HasExited => _process.HasExited;

    public int ExitCode => _process.ExitCode;

    /// <summary>Whether it has exited by itself and all of its output has been read. False when the test has ended it or waited for its
    /// exit.</summary>
    public bool HasEndedUnasked => !_mayEnd && IsOver;

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

    /// <summary>Expects that it exits by itself, or by an action elsewhere, while the test waits for something else.</summary>
    public ProgramRun MayEnd()
    {
        _mayEnd = true;
        return this;
    }

    /// <summary>Waits for a line on either stream, including earlier lines.</summary>
    public string WaitForLine(Func<string, bool> wanted, TimeSpan? timeout = null)
    {
        var clock = Stopwatch.StartNew();
        for (; ; )
        {
            bool isOver = IsOver;
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

            if (isOver || clock.Elapsed > (timeout ?? s_defaultTimeout))
            {
                throw new TimeoutException(Report(isOver
                    ? $"ended with exit code {ExitCode} and without the line waited for" : "did not write the line waited for in time"));
            }

            _copying.Wait(TimeSpan.FromMilliseconds(10));
        }
    }

    /// <summary>Waits for the end.</summary>
    /// <returns>The exit code; 128 + the signal's number when one ended it.</returns>
    public int WaitForExit(TimeSpan? timeout = null)
    {
        _mayEnd = true;
        if (!_process.WaitForExit(timeout ?? s_defaultTimeout))
        {
            throw new TimeoutException(Report("did not end in time"));
        }
        if (!_copying.Wait(s_restIsReadWithin))
        {
            throw new TimeoutException(Report($"ended with exit code {ExitCode}, but what it has started still holds its output open"));
        }

        return _process.ExitCode;
    }

    /// <summary>Sends SIGTERM, as systemd and the kubelet do.</summary>
    public void Terminate() => Signal("TERM");

    /// <summary>Sends a signal. Every signal except stop, continue and reload may end the program.</summary>
    public void Signal(string name)
    {
        _mayEnd |= name is not ("STOP" or "CONT" or "HUP");
        Command.Signal(_process, name);
    }

    /// <summary>Sends SIGKILL, as the out-of-memory killer does.</summary>
    public void Kill()
    {
        _mayEnd = true;
        _process.Kill();
    }

    /// <summary>The command line, the exit status and all output.</summary>
    public string Report(string what) => $"{_commandLine} {what}\nstdout:\n{Output}stderr:\n{Error}";

    /// <summary>The last lines of its output.</summary>
    public string Tail() =>
        $"{_commandLine}{(HasExited ? $" (exit code {ExitCode})" : "")}\nstdout:\n{Text(_output, TailLines)}stderr:\n{Text(_error, TailLines)}";

    public void Dispose()
    {
        StartedPrograms.Remove(this);
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

    /// <summary>Whether it has exited and all of its output has been read.</summary>
    private bool IsOver
    {
        get
        {
            // The order matters: output that is complete now was complete when the lines were read.
            if (!_process.HasExited)
            {
                return false;
            }
            lock (_sinceEnd)
            {
                _sinceEnd.Start();
                return _copying.IsCompleted || _sinceEnd.Elapsed > s_restIsReadWithin;
            }
        }
    }

    private static string Text(List<string> lines, int most = int.MaxValue)
    {
        lock (lines)
        {
            return string.Concat(lines.TakeLast(most).Select(line => line + "\n"));
        }
    }

    private static string Built(string program, string project) =>
        Path.Combine(Repository.Root, "src", project, "bin", Repository.Configuration, "net10.0", program);

    private static string Find(string program, string variable, string project)
    {
        string[] candidates =
        [
            Path.Combine(Repository.Root, "out", program),
            Built(program, project),
        ];
        return Environment.GetEnvironmentVariable(variable) is { Length: > 0 } named
            ? named
            : candidates.FirstOrDefault(File.Exists)
                ?? throw new FileNotFoundException($"{program} has not been built: none of {string.Join(", ", candidates)}; set {variable} or run make build");
    }
}
