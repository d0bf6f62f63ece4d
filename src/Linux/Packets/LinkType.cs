namespace Keepalive.Linux.Packets;

/// <summary>The link type of a captured frame: LINKTYPE_ numbers (https://www.tcpdump.org/linktypes.html). Any other value is possible.</summary>
public enum LinkType
{
    /// <summary>BSD loopback: the address family in four bytes of whichever byte order the capturing host had.</summary>
    Null = 0,
    Ethernet = 1,

    /// <summary>Raw IP by the number the kernel interface has (DLT_RAW), which libpcap returns for live captures and old files hold.</summary>
    RawDlt = 12,

    /// <summary>The same on OpenBSD.</summary>
    RawOpenBsd = 14,

    /// <summary>Raw IP: the version is in the packet.</summary>
    Raw = 101,

    /// <summary>OpenBSD loopback: as <see cref="Null"/>, in network byte order.</summary>
    Loop = 108,

    /// <summary>Linux "cooked" capture, version 1.</summary>
    LinuxCooked = 113,
    IPv4 = 228,
    IPv6 = 229,

    /// <summary>Packets that a firewall rule logged (NFLOG), in attributes.</summary>
    NetfilterLog = 239,

    /// <summary>Linux "cooked" capture, version 2.</summary>
    LinuxCooked2 = 276,
}

/// <summary>Properties of link types.</summary>
public static class LinkTypes
{
    /// <summary>Whether <see cref="LinkFrame"/> finds IP packets in frames of this type.</summary>
    public static bool IsKnown(this LinkType link) => link is LinkType.Null or LinkType.Ethernet or LinkType.RawDlt or LinkType.RawOpenBsd
        or LinkType.Raw or LinkType.Loop or LinkType.LinuxCooked or LinkType.IPv4 or LinkType.IPv6 or LinkType.NetfilterLog
        or LinkType.LinuxCooked2;
}
