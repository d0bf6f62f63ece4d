using System.Net.Sockets;
using System.Text;
using Keepalive.Agent.Serving;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Keepalive.Agent.Tests.Serving;

/// <summary>Clients that close their own direction after the request, on every listener.</summary>
public sealed class HalfCloseTests
{
    /// <summary>More than the buffers of the socket and of the server hold: most of it is sent after the FIN.</summary>
    private const int Large = 8 * 1024 * 1024;

    private static readonly byte[] s_body = [.. Enumerable.Repeat((byte)'x', Large)];

    private const string Get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// <summary>Long enough for the FIN to arrive before the answer is sent.</summary>
    private static readonly TimeSpan s_late = TimeSpan.FromMilliseconds(100);

    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData("--listen", "GET / HTTP/1.0\r\n\r\n", 1)]
    [InlineData("--listen", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 1)]
    [InlineData("--listen", Get, 1)]
    [InlineData("--listen", "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 1)]
    [InlineData("--listen", Get + Get + Get, 3)]
    [InlineData("--listen-local", Get, 1)]
    [InlineData("--listen-local", Get + Get, 2)]
    [InlineData("agent.sock", "GET / HTTP/1.0\r\n\r\n", 1)]
    [InlineData("agent.sock", Get, 1)]
    [InlineData("agent.sock", Get + Get, 2)]
    public async Task Http_RequestThenFin_IsAnsweredInFull(string listener, string request, int answers)
    {
        await using var rig = await ServerRig.Start(Answer);

        var text = rig.Ask(listener, request);

        Assert.Equal(answers, text.Split("HTTP/1.1 200 OK").Length - 1);
        Assert.Equal(answers * Large, text.Count(c => c == 'x'));
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("GET /", "HTTP/1.1 400 Bad Request")]
    [InlineData("GET / HTTP/1.1\r\nHost: loc", "HTTP/1.1 400 Bad Request")]
    [InlineData(Get + "GET /", "HTTP/1.1 200 OK")]
    public async Task Http_CutRequestThenFin_EndsTheConnectionAtOnce(string request, string first)
    {
        await using var rig = await ServerRig.Start(context => context.Response.WriteAsync("ok"));
        var begun = TimeProvider.System.GetTimestamp();

        Assert.Equal(first, rig.Ask("--listen", request).Split("\r\n")[0]);
        Assert.InRange(TimeProvider.System.GetElapsedTime(begun), TimeSpan.Zero, TimeSpan.FromSeconds(4));
    }

    [Theory]
    [InlineData("--listen", false)]
    [InlineData("--listen", true)]
    [InlineData("agent.sock", true)]
    public async Task Http_ClientGone_AbortsTheRequest(string listener, bool finFirst)
    {
        var (started, aborted) = (new TaskCompletionSource(), new TaskCompletionSource());
        await using var rig = await ServerRig.Start(async context =>
        {
            context.RequestAborted.Register(aborted.SetResult);
            started.SetResult();
            while (!context.RequestAborted.IsCancellationRequested)
            {
                await context.Response.Body.WriteAsync(new byte[64 * 1024]);
            }
        });
        var socket = rig.Connect(listener);
        socket.Send(Encoding.ASCII.GetBytes(Get));
        if (finFirst)
        {
            socket.Shutdown(SocketShutdown.Send);
        }
        await started.Task.WaitAsync(s_soon);
        Assert.False(aborted.Task.IsCompleted);
        socket.LingerState = new LingerOption(enable: true, seconds: 0);   // close(2) sends a reset
        socket.Dispose();

        await aborted.Task.WaitAsync(s_soon);
    }

    [Fact]
    public async Task Http_ManyFinsAndNothingRead_OthersAreServed()
    {
        const int more = 20;
        await using var rig = await ServerRig.Start(async context =>
        {
            if (context.Request.Path == "/ok")
            {
                await context.Response.WriteAsync("ok");
                return;
            }
            for (var i = 0; i < 16; i++)
            {
                await context.Response.Body.WriteAsync(s_body.AsMemory(0, 64 * 1024));
            }
        });
        var stalled = Enumerable.Range(0, AgentServer.MaxConnections + more).Select(_ => rig.Connect("agent.sock")).ToList();
        var refused = 0;
        foreach (var socket in stalled)
        {
            try
            {
                socket.Send(Encoding.ASCII.GetBytes(Get));
                socket.Shutdown(SocketShutdown.Send);
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.Shutdown or SocketError.ConnectionReset)
            {
                // The server had looked at it already, and has no room for it.
                refused++;
            }
        }

        Assert.InRange(refused, 0, more);
        Assert.EndsWith("ok", rig.Ask("agent.sock", "GET /ok HTTP/1.0\r\n\r\n"), StringComparison.Ordinal);
        stalled.ForEach(socket => socket.Dispose());
    }

    [Theory]
    [InlineData("10.0.0.1:443\n")]
    [InlineData("10.0.0.1:443\r\n")]
    [InlineData("10.0.0.1:443")]
    public async Task AgentCheck_QuestionThenFin_IsAnswered(string question)
    {
        await using var rig = await ServerRig.Start(context => context.Response.WriteAsync("ok"));
        for (var i = 0; i < 100; i++)
        {
            Assert.Equal("up\n", rig.Ask("--agent-check", question));
        }
    }

    [Fact]
    public async Task AgentCheck_FinAlone_IsAnsweredAtOnce()
    {
        await using var rig = await ServerRig.Start(context => context.Response.WriteAsync("ok"));

        Assert.StartsWith("#", rig.Ask("--agent-check", ""), StringComparison.Ordinal);
    }

    private static async Task Answer(HttpContext context)
    {
        await Task.Delay(s_late);
        context.Response.ContentLength = Large;
        await context.Response.Body.WriteAsync(s_body, context.RequestAborted);
    }
}
