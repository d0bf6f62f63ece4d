using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Serving;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Serving;

/// <summary>The answers of an agent check, and its log lines about invalid requests.</summary>
public sealed class AgentCheckTests
{
    private readonly LogLines _log = new(LogLevel.Warning);

    [Theory]
    [InlineData("192.0.2.1:5432\n", "up\n", null)]
    [InlineData("\n", "#ask with agent-send \"ADDR:PORT\\n\" or \"ADDR:PORT@WORKLOAD\\n\"\n", "agent-check request nothing is not ADDR:PORT")]
    [InlineData("db\u001b\n", "#ask with agent-send \"ADDR:PORT\\n\" or \"ADDR:PORT@WORKLOAD\\n\"\n", "agent-check request 'db")]
    // Regression: a connection that was closed for a newer one was logged as a request for ''.
    [InlineData("", "#ask with agent-send \"ADDR:PORT\\n\" or \"ADDR:PORT@WORKLOAD\\n\"\n", null)]
    public async Task Serve_Request_IsAnsweredAndLoggedIfInvalid(string question, string answer, string? said)
    {
        var check = new AgentCheck(new LivenessMonitor(new LivenessLog(NullLogger.Instance), TimeProvider.System, captures: false), TimeProvider.System, _log);
        Pipe toServer = new(), toClient = new();
        await using var connection = new DefaultConnectionContext("1", new Ends(toServer.Reader, toClient.Writer), new Ends(toClient.Reader, toServer.Writer));
        await toServer.Writer.WriteAsync(Encoding.UTF8.GetBytes(question), TestContext.Current.CancellationToken);
        await toServer.Writer.CompleteAsync();

        await check.Serve(connection);

        await toClient.Writer.CompleteAsync();
        var sent = await toClient.Reader.ReadAsync(TestContext.Current.CancellationToken);
        Assert.Equal(answer, Encoding.UTF8.GetString(sent.Buffer.ToArray()));
        Assert.Equal(said is null ? 0 : 1, _log.Said.Count);
        Assert.All(_log.Said, line => Assert.StartsWith(said!, line.Text, StringComparison.Ordinal));
    }

    private sealed record Ends(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
