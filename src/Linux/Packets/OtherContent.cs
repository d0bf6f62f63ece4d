namespace Keepalive.Linux.Packets;

/// <summary>The content of a frame without a TCP segment that can be read.</summary>
public enum OtherContent : byte
{
    /// <summary>None of the below.</summary>
    Unknown,

    /// <summary>Encrypted by IEEE 802.1AE.</summary>
    Macsec,

    /// <summary>Encrypted by IPsec, also in UDP.</summary>
    Esp,
    WireGuard,

    /// <summary>Tunnels in UDP, by their ports: around something that is not read here, or of a kind that is not.</summary>
    Vxlan,
    Geneve,
    Gue,
    OpenVpn,

    /// <summary>Also of version 3, in IP.</summary>
    L2tp,
    GtpU,
    Lisp,
    Capwap,

    /// <summary>Compressed (RFC 3173).</summary>
    Ipcomp,

    /// <summary>GRE around a protocol that is not read here.</summary>
    Gre,

    /// <summary>A part of an IP datagram other than the first.</summary>
    Fragment,

    /// <summary>More tunnels in tunnels than are followed.</summary>
    NestedTooDeep,
    Udp,
    Icmp,
    Sctp,
    Arp,
}
