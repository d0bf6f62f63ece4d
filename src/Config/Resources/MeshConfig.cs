namespace Keepalive.Config.Resources;

/// <summary>
/// The mesh-wide settings of Istio: the <c>mesh</c> key of the ConfigMap <c>istio</c> or <c>istio-REVISION</c>, or the
/// <c>meshConfig</c> of an IstioOperator.
/// </summary>
/// <remarks>Its keepalive lies field by field under every DestinationRule, and applies to destinations without one.</remarks>
public sealed record MeshConfig : Policy
{
    /// <summary>The kind in names of rules.</summary>
    public const string KindName = "MeshConfig";

    /// <summary>Istio's root namespace, unless it was installed otherwise.</summary>
    public const string DefaultNamespace = "istio-system";

    /// <summary>The name of the ConfigMap of the default revision.</summary>
    public const string ConfigMapName = "istio";

    /// <inheritdoc/>
    public override string Kind => KindName;

    /// <summary>The kind of the object that it was read from.</summary>
    public required string ReadFrom { get; init; }

    /// <summary>The keepalive settings; null when there are none.</summary>
    public TcpKeepalive? TcpKeepalive { get; init; }

    /// <summary>Whether it is what a running control plane reads, not the input of an installer.</summary>
    internal bool IsConfigMap => ReadFrom == "ConfigMap";
}
