namespace Keepalive.Config.Resources;

/// <summary>The host of a DestinationRule that no other object in the input is about.</summary>
internal sealed record HostDestination : Destination
{
    /// <inheritdoc/>
    public override string Kind => "host";

    /// <inheritdoc/>
    public override DestinationKind DestinationKind => DestinationKind.Host;

    /// <remarks>The name of a Service says its namespace.</remarks>
    internal override string? Home => HomeOf(Hosts[0].Value);

    private static string? HomeOf(string host) => host.Split('.') is [_, var ns, "svc", ..] ? ns : null;

    public static HostDestination Of(DestinationRule rule) => new()
    {
        Metadata = rule.Metadata with { Name = rule.Host, Namespace = HomeOf(rule.FullHost) ?? rule.Metadata.Namespace },
        Hosts = [new Positioned<string>(rule.FullHost, rule.Host.Position)],
    };
}
