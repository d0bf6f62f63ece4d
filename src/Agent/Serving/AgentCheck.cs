using System.Globalization;
using System.IO.Pipelines;
using System.Text;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Log;
using Keepalive.Config;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Serving;

/// <summary>Answers HAProxy's agent-check (configuration manual, "agent-check"): a line with the endpoint comes in (<c>agent-send</c>), a
/// line with the verdict goes out, and the connection ends.</summary>
/// <remarks>
/// <code>
///   10.0.0.2:5432\n  →  up\n                                  in the pool, or nothing is known against it
///                    →  down #no answer to keepalive probes…\n  out of the pool
///   10.0.0.2:5432@unit:app.service\n  →  the same, only by the connections of this workload
/// </code>
/// Of the agent-check's words, only these two are used. They set the server's operational state. The words <c>ready</c>, <c>drain</c> and
/// <c>maint</c> belong to the administrator: a <c>ready</c> with every <c>up</c> would end a maintenance that the administrator began. Only
/// the agent can revoke its own <c>down</c>, so an unknown endpoint is <c>up</c>. An invalid question gets a comment, which changes
/// nothing.
/// </remarks>
internal sealed partial class AgentCheck(LivenessMonitor liveness, TimeProvider time, ILogger logger)
{
    private const string HowToAsk = "#ask with agent-send \"ADDR:PORT\\n\" or \"ADDR:PORT@WORKLOAD\\n\"";

    /// <summary>The maximum length of a question.</summary>
    private const int MaxQuestion = 512;

    /// <summary>How long to wait for the end of the line. After that, the text received so far is the question.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);

    private bool _said;

    public async Task Serve(ConnectionContext connection)
    {
        try
        {
            var question = await Read(connection.Transport.Input, connection.ConnectionClosed).ConfigureAwait(false);
            await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes((question is null ? HowToAsk : Answer(question)) + "\n"), connection.ConnectionClosed).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // The client closed the connection, or it was closed to make room for another one.
        }
    }

    /// <summary>Returns the answer to a question about an endpoint.</summary>
    internal string Answer(string question)
    {
        var at = question.IndexOf('@', StringComparison.Ordinal);
        if (at == question.Length - 1 || !EndpointName.TryParse(at < 0 ? question : question.AsSpan(0, at), out var endpoint))
        {
            if (!_said)
            {
                _said = true;
                LogNotUnderstood(question.Length == 0 ? "nothing" : $"'{TerminalText.Mask(question)}'");
            }
            return HowToAsk;
        }
        var standing = liveness.Find(endpoint);
        if (at >= 0)
        {
            return standing?.Of(question[(at + 1)..]) is { IsSilent: true } ? "down #no answer to keepalive probes of this workload" : "up";
        }
        return standing is { IsIn: false }
            ? string.Create(CultureInfo.InvariantCulture, $"down #no answer to keepalive probes for {(time.GetUtcNow() - DateTime.UnixEpoch.AddTicks(standing.OutSince / 100)).TotalSeconds:F0}s")
            : "up";
    }

    /// <summary>Null if the connection ended without a request: a check of the open port, or a connection closed for another.</summary>
    private static async Task<string?> Read(PipeReader input, CancellationToken closed)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(closed);
        limit.CancelAfter(s_patience);
        var seen = "";
        try
        {
            for (; ; )
            {
                var result = await input.ReadAsync(limit.Token).ConfigureAwait(false);
                if (result.IsCompleted && result.Buffer.IsEmpty)
                {
                    return null;
                }
                var buffer = result.Buffer.Slice(0, Math.Min(result.Buffer.Length, MaxQuestion));
                seen = Encoding.ASCII.GetString(buffer);
                var end = seen.AsSpan().IndexOfAny('\r', '\n');
                if (end >= 0 || result.IsCompleted || buffer.Length == MaxQuestion)
                {
                    input.AdvanceTo(result.Buffer.End);
                    return (end >= 0 ? seen[..end] : seen).Trim();
                }
                input.AdvanceTo(result.Buffer.Start, result.Buffer.End);
            }
        }
        catch (OperationCanceledException) when (!closed.IsCancellationRequested)
        {
            return seen.Trim();
        }
    }

    [LoggerMessage(EventIds.AgentCheckNotUnderstood, LogLevel.Warning,
        "agent-check request {Question} is not ADDR:PORT; answered without a state change. Set agent-send in HAProxy")]
    private partial void LogNotUnderstood(string question);
}
