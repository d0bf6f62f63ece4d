using System.Net;
using System.Net.Sockets;
using Keepalive.Agent.Log;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Win32.SafeHandles;

namespace Keepalive.Agent.Serving;

/// <summary>Where the service listens: <c>--listen</c> for all, <c>--listen-local</c> and a unix socket for the node's administrator, and
/// <c>--agent-check</c>.</summary>
/// <remarks>
/// <code>
///   --listen         ─► connection limit ─► half-close ──────────────────► HTTP ─► AgentPages
///   --listen-local   ─► connection limit ─► half-close ─► the node's own ─► HTTP ─► AgentPages, and /sockets, /destinations
///   agent.sock 0600  ─► connection limit ─► half-close ─► the node's own ─► HTTP
///   --agent-check    ─► connection limit ─► half-close ─► AgentCheck
/// </code>
/// Nobody who reads slowly, or not at all, keeps others out for long: headers have to come within seconds, and answers have to be taken at
/// some pace. Each listener has its own limit of connections, so that one that is flooded leaves the others usable.
/// </remarks>
internal static class AgentServer
{
    /// <summary>Connections to one listener at a time, where there are descriptors for so many. For more the one that has been there longest makes room: many that say
    /// nothing must not keep out who asks for the agent's health.</summary>
    public const int MaxConnections = 512;

    /// <summary>The longest name of a unix socket (sun_path without its end).</summary>
    private const int MaxSocketPath = 107;

    /// <summary>Name of the unix socket in the state directory.</summary>
    public const string SocketName = "agent.sock";

    /// <summary>Adds the listeners to a host that is being built.</summary>
    /// <param name="builder">The host.</param>
    /// <param name="addresses">Where to listen.</param>
    /// <param name="socketPath">Where to listen for the node's administrator; null for nowhere.</param>
    /// <param name="maxConnections">Connections to all listeners together, at a time.</param>
    /// <param name="logger">The log.</param>
    public static void Configure(WebApplicationBuilder builder, ListenAddresses addresses, string? socketPath, int maxConnections, ILogger logger)
    {
        builder.WebHost.UseKestrelCore();
        builder.Services.Configure<SocketTransportOptions>(sockets => sockets.CreateBoundListenSocket = endpoint => Bind(endpoint, addresses));
        var listeners = new object?[] { addresses.Listen, addresses.ListenLocal, socketPath }.Count(one => one is not null) + addresses.AgentChecks.Count;
        var most = Math.Min(MaxConnections, maxConnections / Math.Max(listeners, 1));
        builder.Services.RemoveAll<IConnectionListenerFactory>();
        builder.Services.AddSingleton<IConnectionListenerFactory>(services => new BoundedListeners(
            new SocketTransportFactory(services.GetRequiredService<IOptions<SocketTransportOptions>>(), services.GetRequiredService<ILoggerFactory>()), most, logger));
        builder.WebHost.ConfigureKestrel((_, kestrel) =>
        {
            kestrel.AddServerHeader = false;
            var limits = kestrel.Limits;
            limits.MaxRequestBodySize = 0;
            limits.MaxRequestHeadersTotalSize = 8 * 1024;
            limits.MaxRequestLineSize = 2 * 1024;
            limits.MaxRequestHeaderCount = 50;
            limits.RequestHeadersTimeout = TimeSpan.FromSeconds(5);
            // Prometheus asks once a minute by default, on the same connection.
            limits.KeepAliveTimeout = TimeSpan.FromSeconds(130);
            limits.MinResponseDataRate = new MinDataRate(bytesPerSecond: 1024, gracePeriod: TimeSpan.FromSeconds(5));
            if (addresses.Listen is { } all)
            {
                kestrel.Listen(all, listen => Http(listen, own: null));
            }
            if (addresses.ListenLocal is { } local)
            {
                kestrel.Listen(local, listen => Http(listen, new NodesOwn(AsksForOtherHost: true)));
            }
            if (socketPath is not null)
            {
                kestrel.ListenUnixSocket(socketPath, listen => Http(listen, new NodesOwn(AsksForOtherHost: false)));
            }
            foreach (var address in addresses.AgentChecks)
            {
                var check = kestrel.ApplicationServices.GetRequiredService<AgentCheck>();
                kestrel.Listen(address, listen =>
                {
                    HalfClose.Allow(listen);
                    listen.Run(check.Serve);
                });
            }
        });
    }

    /// <summary>Where the unix socket is to be, after removing one that a killed predecessor left; null where there can be none.</summary>
    public static string? SocketPath(string stateDirectory, ILogger logger)
    {
        var path = Path.Combine(Path.GetFullPath(stateDirectory), SocketName);
        if (System.Text.Encoding.UTF8.GetByteCount(path) > MaxSocketPath)
        {
            ServingLog.LogNoSocket(logger, path, MaxSocketPath);
            return null;
        }
        try
        {
            // The lock is held: it is nobody's.
            File.Delete(path);
            return path;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            ServingLog.LogSocketInTheWay(logger, path, Directory.Exists(path) ? "it is a directory" : e.Message);
            return null;
        }
    }

    private static void Http(ListenOptions listen, NodesOwn? own)
    {
        HalfClose.Allow(listen);
        listen.Protocols = HttpProtocols.Http1;
        if (own is not null)
        {
            listen.Use(next => connection =>
            {
                connection.Features.Set(own);
                return next(connection);
            });
        }
    }

    private static Socket Bind(EndPoint endpoint, ListenAddresses addresses)
    {
        if (endpoint is UnixDomainSocketEndPoint)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            // bind(2) gives the file the mode of the socket: a name is not looked up again.
            using var descriptor = new SafeFileHandle(socket.Handle, ownsHandle: false);
            File.SetUnixFileMode(descriptor, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            socket.Bind(endpoint);
            return socket;
        }
        try
        {
            return SocketTransportOptions.CreateDefaultBoundListenSocket(endpoint);
        }
        catch (SocketException e)
        {
            var option = endpoint.Equals(addresses.Listen) ? "--listen" : endpoint.Equals(addresses.ListenLocal) ? "--listen-local" : "--agent-check";
            throw new IOException($"cannot listen on {endpoint}: {e.Message}. Choose another address with {option}.", e);
        }
    }
}

/// <summary>What the listeners log.</summary>
internal static partial class ServingLog
{
    [LoggerMessage(EventIds.SocketUnavailable, LogLevel.Warning,
        "The unix socket for /sockets and /destinations is unavailable: {Path} is longer than {Most} bytes. Choose a shorter --state-dir")]
    public static partial void LogNoSocket(ILogger logger, string path, int most);

    [LoggerMessage(EventIds.SocketUnavailable, LogLevel.Warning,
        "The unix socket for /sockets and /destinations is unavailable: {Path} cannot be removed ({Why}). Remove it and restart the agent")]
    public static partial void LogSocketInTheWay(ILogger logger, string path, string why);

    [LoggerMessage(EventIds.TooManyConnections, LogLevel.Warning, "More than {Most} connections to {Listener} at once: the oldest are closed. This is logged once")]
    public static partial void LogTooMany(ILogger logger, string listener, int most);
}
