using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Converts a valid <c>tcpKeepalive</c> to kernel values.</summary>
internal static class KeepaliveConversion
{
    /// <summary>The values; null when there is no <c>tcpKeepalive</c>. Missing fields, and probes 0, leave the socket's own.</summary>
    public static KeepaliveSettings? ToSettings(TcpKeepalive? keepalive) => keepalive is null
        ? null
        : new KeepaliveSettings(Seconds(keepalive.Time), Seconds(keepalive.Interval),
            keepalive.Probes is { Value: > 0 } probes ? (int)probes.Value : null);

    /// <summary>Every <c>tcpKeepalive</c> of a policy: a DestinationRule may have one for each port.</summary>
    public static IEnumerable<TcpKeepalive> AllOf(Policy policy) => policy switch
    {
        ConnectionPolicy { Tcp.TcpKeepalive: { } keepalive } => [keepalive],
        ListenerConnectionPolicy { TcpKeepalive: { } keepalive } => [keepalive],
        ProxyPolicy proxy => proxy.Keepalives.Select(static pair => pair.Keepalive),
        MeshConfig { TcpKeepalive: { } keepalive } => [keepalive],
        DestinationRule rule => rule.PortLevelSettings.Select(static settings => settings.Tcp?.TcpKeepalive)
            .Prepend(rule.Tcp?.TcpKeepalive).OfType<TcpKeepalive>(),
        _ => [],
    };

    private static int? Seconds(Positioned<string>? duration) =>
        duration is { } text && GoDuration.TryParse(text.Value, out var nanoseconds) ? (int)KernelSeconds.From(nanoseconds) : null;
}
