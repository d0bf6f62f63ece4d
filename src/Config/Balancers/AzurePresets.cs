using System.Collections.Immutable;

namespace Keepalive.Config.Balancers;

/// <summary>Microsoft Azure.</summary>
internal static class AzurePresets
{
    private const string Learn = "https://learn.microsoft.com/azure/";

    private static readonly ImmutableArray<string> s_loadBalancer =
        [Learn + "load-balancer/load-balancer-tcp-reset", Learn + "load-balancer/load-balancer-tcp-idle-timeout"];

    internal static ImmutableArray<BalancerPreset> All { get; } =
    [
        new()
        {
            Name = "azure-lb",
            Product = "Azure Load Balancer, standard",
            IdleTimeout = 240,
            MinIdleTimeout = 240,
            MaxIdleTimeout = 6000,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Sources = s_loadBalancer,
        },
        new()
        {
            Name = "azure-lb-tcp-reset",
            Product = "Azure Load Balancer, standard, with TCP reset enabled",
            IdleTimeout = 240,
            MinIdleTimeout = 240,
            MaxIdleTimeout = 6000,
            Expiry = ExpiryClass.ResetBoth,
            Refresh = Refresh.AnyPacket,
            Sources = s_loadBalancer,
        },
        new()
        {
            Name = "azure-nat-gateway",
            Product = "Azure NAT Gateway",
            IdleTimeout = 240,
            MinIdleTimeout = 240,
            MaxIdleTimeout = 7200,
            Expiry = ExpiryClass.ResetOnNextPacket,
            Refresh = Refresh.AnyPacket,
            Sources = [Learn + "nat-gateway/nat-gateway-resource"],
        },
        new()
        {
            Name = "azure-firewall",
            Product = "Azure Firewall, north-south traffic",
            IdleTimeout = 240,
            Expiry = ExpiryClass.ResetBoth,
            Refresh = Refresh.AnyPacket,
            Sources = [Learn + "firewall/tcp-session-behavior"],
            Notes = "Raised by support request only.",
        },
        new()
        {
            Name = "azure-firewall-east-west",
            Product = "Azure Firewall, east-west traffic",
            IdleTimeout = 300,
            IsConfigurable = false,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry,
            Sources = [Learn + "firewall/tcp-session-behavior"],
            Notes = "No reset is sent; packets may still pass for some time after expiry.",
        },
    ];
}
