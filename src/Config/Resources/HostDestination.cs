namespace Keepalive.Config.Resources;

/// <summary>The host of a DestinationRule that no other object in the input is about.</summary>
internal sealed record HostDestination : Destination
{
    /// <inheritdoc/>
    public override string Kind => "host";

    /// <inheritdoc/>
    public override DestinationKind DestinationKind => DestinationKind.Host;

    public static HostDestination Of(DestinationRule rule) => new()
    {
        Metadata = rule.Metadata with { Name = rule.Host },
        Hosts = [new Positioned<string>(rule.FullHost, rule.Host.Position)],
    };
}
