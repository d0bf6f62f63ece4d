using System.Net;
using System.Net.Sockets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Simulator.Discover;

/// <summary>A TCP socket as the measurement needs it.</summary>
internal interface IProbeSocket : IDisposable
{
    IPEndPoint? Local { get; }

    /// <summary>Why it could not be connected.</summary>
    SocketError Error { get; }

    TcpInfo Read();

    /// <summary>Sends a keepalive probe at once if the socket has been idle for a second, and one every second from then on.</summary>
    void Probe();

    /// <summary>Sends no more probes.</summary>
    void Rest();

    void Send(ReadOnlySpan<byte> payload);

    /// <summary>Reads and ignores received payload.</summary>
    void Drain();

    /// <summary>Ends the connection with a reset, so that its port can be used again.</summary>
    void Abort();
}
