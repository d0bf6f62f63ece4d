using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Keepalive.Simulator.Lab;

/// <summary>A real <c>keepalive-agent run</c> that looks after the sockets of one side.</summary>
internal sealed partial class LabAgent : IDisposable
{
    /// <summary>The event id of "Policies in force": from here on it looks after sockets.</summary>
    private const int PoliciesInForce = 10;

    /// <summary>The event id of an error in its policies. It then runs without them.</summary>
    private const int PolicyError = 12;

    /// <summary>The event id of a socket that was set.</summary>
    private const int SocketSet = 20;

    private readonly Process _process;
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _set;

    /// <summary>Starts it.</summary>
    /// <param name="program">The agent.</param>
    /// <param name="policies">Its policies: a file or a directory.</param>
    /// <param name="side">Whose sockets.</param>
    /// <param name="directory">For its state.</param>
    /// <param name="tell">Called for each line of its log, without time and category.</param>
    public LabAgent(string program, string policies, LabSide side, string directory, Action<string> tell)
    {
        CommandLine =
        [
            "run", "--policies", policies, "--interval", "500ms", "--netns", side.NamespacePath, "--state-dir", Path.Combine(directory, "agent"),
            "--listen", "none", "--datapath", "pidfd",
        ];
        _process = Tool.Start([program, .. CommandLine]);
        _process.StandardInput.Close();
        Log = Task.WhenAll(ReadAsync(_process.StandardError, tell), ReadAsync(_process.StandardOutput, tell));
        _process.EnableRaisingEvents = true;
    }

    public IReadOnlyList<string> CommandLine { get; }

    /// <summary>Ends when all of its log was reported.</summary>
    public Task Log { get; }

    public Process Process => _process;

    public int Pid => _process.Id;

    public bool HasEnded => _process.HasExited;

    public int ExitCode => _process.ExitCode;

    /// <summary>Sockets it says it has set.</summary>
    public int SocketsSet => Volatile.Read(ref _set);

    /// <summary>The first error in its policies; null for none.</summary>
    public string? Refusal { get; private set; }

    /// <summary>Waits until it has its policies.</summary>
    /// <returns>False if it has ended instead, has refused its policies, or was not ready in time.</returns>
    public async Task<bool> IsReadyAsync(TimeSpan limit)
    {
        var late = Task.Delay(limit);
        await Task.WhenAny(_ready.Task, Log, late).ConfigureAwait(false);
        if (Log.IsCompleted)
        {
            // It closes its log a moment before it has ended.
            await Task.WhenAny(_process.WaitForExitAsync(), late).ConfigureAwait(false);
        }
        return _ready.Task.IsCompleted && !HasEnded && Refusal is null;
    }

    public void Dispose()
    {
        _process.Kill();
        _process.Dispose();
    }

    private async Task ReadAsync(StreamReader log, Action<string> tell)
    {
        while (await log.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            var head = Head().Match(line);
            tell(head.Success ? line[head.Length..] : line);
            if (!head.Success)
            {
                continue;
            }
            switch (int.Parse(head.Groups["id"].ValueSpan, CultureInfo.InvariantCulture))
            {
                case PolicyError:
                    Refusal ??= line[head.Length..];
                    break;
                case PoliciesInForce:
                    _ready.TrySetResult();
                    break;
                case SocketSet:
                    Interlocked.Increment(ref _set);
                    break;
            }
        }
    }

    // 2025-01-01T12:00:00.000Z info: Keepalive.Agent[1] the message
    [GeneratedRegex(@"^\S+Z \w+: \S+\[(?<id>\d+)\] ")]
    private static partial Regex Head();
}
