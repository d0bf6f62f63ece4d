namespace Keepalive.Linux.Sockets;

/// <summary>TCP states with the kernel's numbers (include/net/tcp_states.h; names of RFC 9293, 3.3.2).</summary>
public enum TcpState : byte
{
    Unknown = 0,
    Established = 1,
    SynSent = 2,
    SynReceived = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    TimeWait = 6,
    Close = 7,
    CloseWait = 8,
    LastAck = 9,
    Listen = 10,
    Closing = 11,
    NewSynReceived = 12,
}

/// <summary>A set of TCP states as sock_diag takes it: bit N is state N.</summary>
[Flags]
public enum TcpStates : uint
{
    None = 0,
    Established = 1u << TcpState.Established,
    SynSent = 1u << TcpState.SynSent,
    SynReceived = 1u << TcpState.SynReceived,
    FinWait1 = 1u << TcpState.FinWait1,
    FinWait2 = 1u << TcpState.FinWait2,
    TimeWait = 1u << TcpState.TimeWait,
    CloseWait = 1u << TcpState.CloseWait,
    LastAck = 1u << TcpState.LastAck,
    Listen = 1u << TcpState.Listen,
    Closing = 1u << TcpState.Closing,

    /// <summary>Two ends that know of each other, or are about to.</summary>
    Connections = Established | SynSent | SynReceived | FinWait1 | FinWait2 | CloseWait | LastAck | Closing,
}

/// <summary>Spelling as in <c>ss</c>.</summary>
public static class TcpStateNames
{
    /// <summary><c>ESTABLISHED</c>, <c>FIN-WAIT-1</c>, …</summary>
    public static string Name(this TcpState state) => state switch
    {
        TcpState.Established => "ESTABLISHED",
        TcpState.SynSent => "SYN-SENT",
        TcpState.SynReceived or TcpState.NewSynReceived => "SYN-RECEIVED",
        TcpState.FinWait1 => "FIN-WAIT-1",
        TcpState.FinWait2 => "FIN-WAIT-2",
        TcpState.TimeWait => "TIME-WAIT",
        TcpState.Close => "CLOSED",
        TcpState.CloseWait => "CLOSE-WAIT",
        TcpState.LastAck => "LAST-ACK",
        TcpState.Listen => "LISTEN",
        TcpState.Closing => "CLOSING",
        _ => "UNKNOWN",
    };
}
