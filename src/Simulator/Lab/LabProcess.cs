using System.Diagnostics;

namespace Keepalive.Simulator.Lab;

/// <summary>An application of the lab in a network namespace of its own; answers each line of orders with one line.</summary>
internal sealed class LabProcess : IDisposable
{
    private static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(10);

    private readonly string _name;
    private readonly Process _process;

    private LabProcess(string name, Process process)
    {
        _name = name;
        _process = process;
    }

    /// <summary>unshare(1) execs, so this is the application itself.</summary>
    public int Pid => _process.Id;

    /// <summary>Starts this program under a hidden command, in a new network namespace that lives as long as it does.</summary>
    public static LabProcess Start(string command) =>
        new(command, Tool.Start([.. Tool.Command(Tool.Unshare, "--net", "--"), .. Self.Command(command)]));

    public async Task<string> AskAsync(string order)
    {
        try
        {
            await _process.StandardInput.WriteLineAsync(order).ConfigureAwait(false);
            if (await _process.StandardOutput.ReadLineAsync().WaitAsync(AnswerTime).ConfigureAwait(false) is { } answer)
            {
                return answer;
            }
        }
        catch (TimeoutException)
        {
            throw new LabException($"{_name} did not answer '{order}' within {AnswerTime.TotalSeconds} s");
        }
        catch (IOException)
        {
            // It has ended: its last words say why.
        }
        throw new LabException($"{_name} ended at '{order}': {(await _process.StandardError.ReadToEndAsync().ConfigureAwait(false)).Trim()}");
    }

    /// <summary>A command line that runs in its network namespace.</summary>
    public string[] Inside(IEnumerable<string> command) => [.. Tool.Command(Tool.Nsenter, $"--target={Pid}", "--net", "--"), .. command];

    /// <summary>Runs a tool in its network namespace; it must succeed.</summary>
    public string Run(IEnumerable<string> command)
    {
        var line = Inside(command);
        var result = Tool.Run(line);
        return result.ExitCode == 0
            ? result.Output
            : throw new LabException($"{string.Join(' ', line)}: exit code {result.ExitCode}\n{result.Error}{result.Output}");
    }

    public void Dispose()
    {
        _process.Kill();
        _process.Dispose();
    }
}
