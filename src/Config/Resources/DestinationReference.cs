namespace Keepalive.Config.Resources;

/// <summary>One entry of <c>applyToDestinations</c>.</summary>
/// <param name="Kind">The kind of object that it selects; SERVICE if the entry has none.</param>
/// <param name="Selector">Which objects of that kind.</param>
/// <param name="Port">Which of their ports; null is all.</param>
/// <param name="Position">Where the entry starts.</param>
public sealed record DestinationReference(
    DestinationKind Kind, ObjectSelector Selector, PortSelector? Port, SourcePosition Position);

/// <summary>The kinds of object a policy can select.</summary>
public enum DestinationKind
{
    /// <summary>A <see cref="Resources.Service"/>.</summary>
    Service,

    /// <summary>A <see cref="Resources.VirtualDestination"/>.</summary>
    VirtualDestination,

    /// <summary>An <see cref="Resources.ExternalService"/>.</summary>
    ExternalService,

    /// <summary>A <see cref="Resources.ServiceEntry"/>, which only a DestinationRule selects.</summary>
    ServiceEntry,

    /// <summary>A <see cref="Resources.VirtualGateway"/>, which only a ListenerConnectionPolicy selects.</summary>
    VirtualGateway,

    /// <summary>A <see cref="Resources.Gateway"/>, which only a proxy's policy selects.</summary>
    Gateway,

    /// <summary>The host of a DestinationRule that no other object is about.</summary>
    Host,
}
