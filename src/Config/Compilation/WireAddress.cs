namespace Keepalive.Config.Compilation;

/// <summary>The far end of a connection to a destination, as it is on the wire.</summary>
/// <param name="Prefix">Its addresses.</param>
/// <param name="Port">Its port; 0 is any.</param>
internal readonly record struct WireAddress(IpPrefix Prefix, ushort Port);
