using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks the mesh-wide settings of Istio.</summary>
internal static class MeshConfigValidator
{
    public static void Validate(MeshConfig config, ResourceReport report)
    {
        ConnectionPolicyValidator.ValidateAnnotations(config, report);
        if (config.TcpKeepalive is { } keepalive)
        {
            DurationValidator.ValidateKeepalive(keepalive, "meshConfig.tcpKeepalive", report);
        }
    }
}
