namespace Keepalive.Linux.Packets;

/// <summary>A header that a packet travels behind, and that can tell it from others with the same addresses.</summary>
public enum EncapsulationKind : byte
{
    None,

    /// <summary>IEEE 802.1Q and 802.1ad.</summary>
    Vlan,

    /// <summary>RFC 7348, also with a group (GBP) or a next protocol (GPE).</summary>
    Vxlan,

    /// <summary>RFC 8926.</summary>
    Geneve,

    /// <summary>RFC 2784 and 2890, around packets or Ethernet frames.</summary>
    Gre,

    /// <summary>Frames that a switch mirrors to somewhere else, in GRE.</summary>
    Erspan,

    /// <summary>IPv4 in IPv4 (RFC 2003).</summary>
    IPv4InIPv4,
    IPv6InIPv4,
    IPv4InIPv6,
    IPv6InIPv6,

    /// <summary>Packets, or GRE or MPLS (RFC 8086, RFC 7510), in UDP without a header of the tunnel: foo over UDP.</summary>
    Fou,

    /// <summary>Generic UDP encapsulation.</summary>
    Gue,

    /// <summary>RFC 3032.</summary>
    Mpls,

    /// <summary>RFC 2516.</summary>
    Pppoe,

    /// <summary>The IP authentication header (RFC 4302).</summary>
    Authentication,
}

/// <summary>One such header.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Id">The number that separates customers: VLAN, VNI, GRE key, ERSPAN session, bottom MPLS label, PPPoE session; -1 without one.</param>
/// <param name="Source">The address of the tunnel's end that sent it, as in <see cref="Sockets.SocketEndpoint"/>; 0 where it is no tunnel over IP.</param>
/// <param name="Destination">The other end's.</param>
public readonly record struct EncapsulationLayer(EncapsulationKind Kind, long Id, UInt128 Source, UInt128 Destination)
{
    public bool HasAddresses => Source != 0 || Destination != 0;

    /// <summary>The same on the way back.</summary>
    public EncapsulationLayer Reversed => this with { Source = Destination, Destination = Source };
}
