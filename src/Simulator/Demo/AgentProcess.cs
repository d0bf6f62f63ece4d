using System.Diagnostics;
using System.Text.RegularExpressions;
using Keepalive.Simulator.Lab;

namespace Keepalive.Simulator.Demo;

/// <summary>A running <c>keepalive-agent run</c> and its log.</summary>
internal sealed partial class AgentProcess : IDisposable
{
    private readonly Process _process;
    private readonly Task _copying;
    private readonly List<string> _log = [];
    private int _shown;

    public AgentProcess(IReadOnlyList<string> command, string directory)
    {
        _process = Tool.Start(command, directory: directory);
        _process.StandardInput.Close();
        _ = _process.StandardOutput.ReadToEndAsync();
        _copying = CopyAsync();
    }

    public int Pid => _process.Id;

    public bool HasEnded => _process.HasExited;

    /// <summary>The messages of the log, without time and category, that were not returned before.</summary>
    public IReadOnlyList<string> NewMessages()
    {
        lock (_log)
        {
            var lines = _log.Skip(_shown).Select(line => Head().Replace(line, "")).ToArray();
            _shown = _log.Count;
            return lines;
        }
    }

    /// <summary>How many lines of the log have this text in them.</summary>
    public int Count(string text)
    {
        lock (_log)
        {
            return _log.Count(line => line.Contains(text, StringComparison.Ordinal));
        }
    }

    /// <summary>Asks it to stop, as systemd and the kubelet do.</summary>
    /// <returns>Its exit code; null when it did not end in time.</returns>
    public async Task<int?> StopAsync(TimeSpan limit)
    {
        Tool.Run(Tool.Command(Tool.Shell, "-c", $"kill -TERM {_process.Id}"));
        try
        {
            await _process.WaitForExitAsync().WaitAsync(limit).ConfigureAwait(false);
            await _copying.WaitAsync(limit).ConfigureAwait(false);
            return _process.ExitCode;
        }
        catch (TimeoutException)
        {
            return null;
        }
    }

    public void Dispose()
    {
        _process.Kill();
        _process.Dispose();
    }

    private async Task CopyAsync()
    {
        while (await _process.StandardError.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            lock (_log)
            {
                _log.Add(line);
            }
        }
    }

    // 2025-01-01T12:00:00.000Z info: Keepalive.Agent[1] the message
    [GeneratedRegex(@"^\S+Z info: \S+\[\d+\] ")]
    private static partial Regex Head();
}
