using System.Diagnostics;
using Keepalive.Simulator.Lab;

namespace Keepalive.Simulator.Demo;

/// <summary>One of the demo's programs, on one side of the lab.</summary>
internal sealed class DemoProcess : IDisposable
{
    private static readonly TimeSpan s_answerTime = TimeSpan.FromSeconds(40);

    private readonly string _command;
    private readonly Process _process;

    private DemoProcess(string command, Process process) => (_command, _process) = (command, process);

    /// <summary>Starts this program under a hidden command.</summary>
    public static DemoProcess Start(LabSide side, params string[] command) => new(command[0], side.Start(Self.Command(command), capture: true));

    /// <summary>Writes a line and reads one.</summary>
    public async Task<string> AskAsync(string order)
    {
        try
        {
            await _process.StandardInput.WriteLineAsync(order).ConfigureAwait(false);
        }
        catch (IOException)
        {
            // It has ended: its last words say why.
        }
        return await ReadAsync().ConfigureAwait(false);
    }

    /// <summary>Reads a line.</summary>
    /// <exception cref="LabException">None came in time, or it has ended.</exception>
    public async Task<string> ReadAsync()
    {
        try
        {
            return await _process.StandardOutput.ReadLineAsync().WaitAsync(s_answerTime).ConfigureAwait(false)
                ?? throw new LabException($"{_command} ended: {(await _process.StandardError.ReadToEndAsync().ConfigureAwait(false)).Trim()}");
        }
        catch (TimeoutException)
        {
            throw new LabException($"{_command} did not answer within {s_answerTime.TotalSeconds} s");
        }
    }

    public void Dispose()
    {
        _process.Kill();
        _process.Dispose();
    }
}
