namespace Keepalive.Linux.Sockets;

/// <summary>The four keepalive options of a TCP socket as getsockopt(2) reports them (tcp(7), socket(7)).</summary>
/// <param name="Enabled">SO_KEEPALIVE.</param>
/// <param name="Time">TCP_KEEPIDLE in seconds, 1–32767; the namespace's tcp_keepalive_time, of any value, where the socket has none of its own.</param>
/// <param name="Interval">TCP_KEEPINTVL in seconds, 1–32767; likewise.</param>
/// <param name="Probes">TCP_KEEPCNT, 1–127; likewise.</param>
/// <remarks>getsockopt cannot tell "unset" from "set to the sysctl's value" (net/ipv4/tcp.c, do_tcp_getsockopt).</remarks>
public readonly record struct KeepaliveOptions(bool Enabled, int Time, int Interval, int Probes)
{
    /// <summary><c>on 700/10/20</c> or <c>off 7200/75/9</c>.</summary>
    public override string ToString() => $"{(Enabled ? "on" : "off")} {Time}/{Interval}/{Probes}";
}
