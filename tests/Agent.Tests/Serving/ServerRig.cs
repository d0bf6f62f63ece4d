using System.Net;
using System.Net.Sockets;
using System.Text;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Serving;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Keepalive.Agent.Tests.Serving;

/// <summary>The agent's listeners in this process, with a handler of the test.</summary>
internal sealed class ServerRig : IAsyncDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-serving");
    private readonly WebApplication _host;
    private readonly IPEndPoint _all = Free();
    private readonly IPEndPoint _local = Free();
    private readonly IPEndPoint _check = Free();

    private ServerRig(RequestDelegate answer)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        var liveness = new LivenessMonitor(new LivenessLog(NullLogger.Instance), TimeProvider.System, captures: false);
        builder.Services.AddSingleton<ILoggerFactory>(NullLoggerFactory.Instance);
        builder.Services.AddSingleton(new AgentCheck(liveness, TimeProvider.System, NullLogger.Instance));
        AgentServer.Configure(builder, Addresses(), SocketPath, maxConnections: 4096, NullLogger.Instance);
        _host = builder.Build();
        _host.Run(answer);
    }

    private string SocketPath => Path.Combine(_directory.FullName, "agent.sock");

    public static async Task<ServerRig> Start(RequestDelegate answer)
    {
        var rig = new ServerRig(answer);
        await rig._host.StartAsync();
        return rig;
    }

    /// <summary>Connects to a listener.</summary>
    /// <param name="listener"><c>--listen</c>, <c>--listen-local</c>, <c>agent.sock</c> or <c>--agent-check</c>.</param>
    public Socket Connect(string listener)
    {
        EndPoint endpoint = listener switch
        {
            "--listen" => _all,
            "--listen-local" => _local,
            "--agent-check" => _check,
            _ => new UnixDomainSocketEndPoint(SocketPath),
        };
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 30_000 };
        socket.Connect(endpoint);
        return socket;
    }

    /// <summary>Sends a request, closes that direction, and reads to the end of the other.</summary>
    public string Ask(string listener, string request)
    {
        using var socket = Connect(listener);
        using var reader = new StreamReader(new NetworkStream(socket), Encoding.ASCII);
        socket.Send(Encoding.ASCII.GetBytes(request));
        socket.Shutdown(SocketShutdown.Send);
        return reader.ReadToEnd();
    }

    public async ValueTask DisposeAsync()
    {
        await _host.DisposeAsync();
        _directory.Delete(recursive: true);
    }

    private ListenAddresses Addresses() => new() { Listen = _all, ListenLocal = _local, AgentChecks = [_check] };

    private static IPEndPoint Free()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return (IPEndPoint)listener.LocalEndpoint;
    }
}
