namespace Keepalive.Linux.Packets;

/// <summary>Fields of an IP header that tell packets and their senders apart.</summary>
/// <param name="Identification">The identification of an IPv4 packet; 0 in IPv6.</param>
/// <param name="HopLimit">The time to live of an IPv4 packet, the hop limit of an IPv6 packet.</param>
internal readonly record struct PacketMarks(ushort Identification, byte HopLimit);
