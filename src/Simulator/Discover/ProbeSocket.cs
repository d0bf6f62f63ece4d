using System.Net;
using System.Net.Sockets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Simulator.Discover;

/// <summary>A socket of the kernel's.</summary>
/// <remarks>
/// The kernel sends a probe at once when TCP_KEEPIDLE is written on a socket that has been idle for longer (tcp_sock_set_keepidle in
/// net/ipv4/tcp.c), so the lateness of its timers does not blur the result. Written again, it sends another one at once.
/// </remarks>
internal sealed class ProbeSocket : IProbeSocket
{
    private const int MaxProbes = 127;

    private readonly Socket _socket;
    private bool _isProbing;

    private ProbeSocket(Socket socket) => _socket = socket;

    public IPEndPoint? Local => (IPEndPoint?)_socket.LocalEndPoint;

    public SocketError Error => (SocketError)(_socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error) ?? 0);

    /// <summary>Begins to connect.</summary>
    /// <param name="remote">The far end.</param>
    /// <param name="local">The local end; null for any.</param>
    /// <exception cref="SocketException">No descriptor or no port is left, or there is no route.</exception>
    public static IProbeSocket Connect(IPEndPoint remote, IPEndPoint? local)
    {
        var socket = new Socket(remote.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { Blocking = false };
        try
        {
            if (local is not null)
            {
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
                socket.Bind(local);
            }
            socket.Connect(remote);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
        {
        }
        catch
        {
            socket.Dispose();
            throw;
        }
        return new ProbeSocket(socket);
    }

    public TcpInfo Read() => TcpInfo.Read(_socket);

    public void Probe()
    {
        if (!_isProbing)
        {
            _isProbing = true;
            _socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 1);
            _socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, MaxProbes);
            _socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        }
        _socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 1);
    }

    public void Rest()
    {
        _isProbing = false;
        _socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, false);
    }

    public void Send(ReadOnlySpan<byte> payload) => _socket.Send(payload, SocketFlags.None, out _);

    public void Drain()
    {
        Span<byte> buffer = stackalloc byte[4096];
        while (_socket.Receive(buffer, SocketFlags.None, out var error) > 0 && error == SocketError.Success)
        {
        }
    }

    public void Abort()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Dispose();
    }

    public void Dispose() => _socket.Dispose();
}
