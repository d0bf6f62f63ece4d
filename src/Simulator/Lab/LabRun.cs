using System.Diagnostics;
using Keepalive.Probes.Pages;

namespace Keepalive.Simulator.Lab;

/// <summary>The request of <c>keepalive-sim lab</c>.</summary>
/// <param name="Setting">The balancer.</param>
/// <param name="Server">The command on the server side.</param>
/// <param name="Client">The command on the client side.</param>
/// <param name="Policies">The agent's policies; null for no agent.</param>
/// <param name="Agent">The agent.</param>
/// <param name="Capture">The capture file; null for none.</param>
/// <param name="Report">The page with the packets; null for none.</param>
/// <param name="Directory">For what only lasts as long as the lab.</param>
internal sealed record LabPlan(LabSetting Setting, string Server, string Client, string? Policies, string Agent, string? Capture, string? Report, string Directory);

/// <summary>Two commands, one on each side, with the balancer in between and the agent at the client if wanted.</summary>
internal sealed class LabRun : IDisposable
{
    private static readonly TimeSpan s_listeningTime = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_agentTime = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_endingTime = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_outputTime = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(20);

    private readonly LabPlan _plan;
    private readonly LabReport _report;
    private readonly bool _captureOutput;
    private readonly RunningLab _lab;
    private readonly PacketRecorder? _recorder;
    private readonly DateTimeOffset _began;
    private readonly Lock _ending = new();
    private bool _ended;

    /// <summary>Prepares one.</summary>
    /// <param name="plan">The request.</param>
    /// <param name="report">The output.</param>
    /// <param name="captureOutput">Whether what the commands write goes to the report, rather than out by itself.</param>
    public LabRun(LabPlan plan, LabReport report, bool captureOutput)
    {
        (_plan, _report, _captureOutput) = (plan, report, captureOutput);
        _lab = RunningLab.Create();
        _recorder = plan.Report is null ? null : new PacketRecorder(plan.Setting.Rule);
        _began = DateTimeOffset.UtcNow - _lab.Elapsed;
    }

    /// <summary>Runs it.</summary>
    /// <returns>The client's exit code.</returns>
    public async Task<int> ExecuteAsync()
    {
        _report.Started(_plan.Setting);
        _lab.Balance(_plan.Setting.Rule, _report.Happened, Failed, _plan.Capture is { } file ? FrameLog.Create(file) : null, _recorder);
        using var over = new CancellationTokenSource();
        using var server = Start(_lab.Network.Server, _plan.Server, out var serverOutput);
        // Not waited for: the server outlives the client as a rule, and so does the agent.
        _ = TellOfEndAsync(_lab.Network.Server.Name, server, over.Token);
        using var agent = _plan.Policies is { } policies ? await StartAgentAsync(policies).ConfigureAwait(false) : null;
        _ = agent is null ? Task.CompletedTask : TellOfEndAsync("agent", agent.Process, over.Token);
        await WaitForServerAsync(server).ConfigureAwait(false);
        using var client = Start(_lab.Network.Client, _plan.Client, out var clientOutput);
        await client.WaitForExitAsync().ConfigureAwait(false);
        var exitCode = client.ExitCode;
        if (clientOutput is not null)
        {
            await clientOutput.DrainAsync(s_outputTime).ConfigureAwait(false);
        }
        await over.CancelAsync().ConfigureAwait(false);
        _report.Exited(_lab.Elapsed, _lab.Network.Client.Name, exitCode);
        await StopAsync(server, serverOutput).ConfigureAwait(false);
        SumUp();
        _report.Complete();
        return exitCode;
    }

    /// <summary>Sums up at once, whether or not the commands have ended.</summary>
    public void End()
    {
        SumUp();
        _report.Dispose();
    }

    public void Dispose()
    {
        _lab.Dispose();
        _report.Dispose();
    }

    /// <summary>Only the first call does.</summary>
    private void SumUp()
    {
        lock (_ending)
        {
            if (_ended)
            {
                return;
            }
            _ended = true;
            if (_lab.Stop() is var (summary, logFailure))
            {
                if (logFailure is not null)
                {
                    _report.Note(summary.Duration, $"{_plan.Capture} is not complete: {logFailure}");
                }
                WriteReport(summary);
                _report.Ended(summary);
            }
        }
    }

    private void WriteReport(LabSummary summary)
    {
        if (_recorder is not null
            && ReportOption.Write(_plan.Report!, LabPacketReport.Create(_plan, _recorder, summary, _began)) is { } problem)
        {
            _report.Note(summary.Duration, problem);
        }
    }

    private Process Start(LabSide side, string command, out LabOutput? output)
    {
        var process = side.Start(Tool.Command(Tool.Shell, "-c", "--", command), _captureOutput);
        process.StandardInput.Close();
        output = _captureOutput
            ? new LabOutput(process, (stream, text, continues) => _report.Output(_lab.Elapsed, side.Name, stream, text, continues))
            : null;
        return process;
    }

    /// <summary>Tells of a process that should be there as long as the client is.</summary>
    private async Task TellOfEndAsync(string who, Process process, CancellationToken over)
    {
        try
        {
            await process.WaitForExitAsync(over).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return;
        }
        _report.Exited(_lab.Elapsed, who, process.ExitCode);
    }

    private async Task<LabAgent> StartAgentAsync(string policies)
    {
        var last = "";
        var agent = new LabAgent(_plan.Agent, policies, _lab.Network.Client, _plan.Directory, line =>
        {
            last = line;
            _report.Output(_lab.Elapsed, "agent", "stderr", line);
        });
        if (await agent.IsReadyAsync(s_agentTime).ConfigureAwait(false))
        {
            return agent;
        }
        throw new LabException(agent.Refusal is { } refusal ? $"the agent refuses its policies: {refusal}" : agent.HasEnded ? $"the agent ended with exit code {agent.ExitCode}: {last}" : "the agent did not read its policies in time");
    }

    private async Task WaitForServerAsync(Process server)
    {
        var clock = Stopwatch.StartNew();
        // One that ended well may have left a daemon behind that is going to listen.
        while (!_lab.Network.Server.HasListener() && !(server.HasExited && server.ExitCode != 0))
        {
            if (clock.Elapsed > s_listeningTime)
            {
                _report.Note(_lab.Elapsed, $"nothing listens on the server side after {Words.Duration(s_listeningTime)}; the client is started all the same");
                return;
            }
            await Task.Delay(s_poll).ConfigureAwait(false);
        }
    }

    private static async Task StopAsync(Process server, LabOutput? output)
    {
        if (!server.HasExited)
        {
            Tool.Run(Tool.Command(Tool.Shell, "-c", $"kill -TERM {server.Id}"));
            await Task.WhenAny(server.WaitForExitAsync(), Task.Delay(s_endingTime)).ConfigureAwait(false);
        }
        if (output is not null)
        {
            await output.DrainAsync(s_endingTime).ConfigureAwait(false);
        }
    }

    private void Failed(Exception cause)
    {
        _report.Note(_lab.Elapsed, $"frames are no longer carried: {cause.Message}");
        _report.Dispose();
        Environment.Exit(ExitCodes.Failed);
    }
}
