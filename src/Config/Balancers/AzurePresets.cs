using System.Collections.Immutable;

namespace Keepalive.Config.Balancers;

/// <summary>Microsoft: Azure, and containers on Windows.</summary>
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
        new()
        {
            Name = "azure-private-link",
            Product = "Azure Private Link service",
            IdleTimeout = 300,
            IsConfigurable = false,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry,
            Sources = [Learn + "private-link/private-link-service-overview#limitations", "https://github.com/MicrosoftDocs/azure-docs/pull/95168"],
            Notes = "About 300 s.",
        },
        new()
        {
            Name = "azure-redis",
            Product = "Azure Cache for Redis",
            IdleTimeout = 600,
            IsConfigurable = false,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources = [Learn + "azure-cache-for-redis/cache-best-practices-connection#idle-timeout"],
            Notes = "Let the client library send a heartbeat.",
        },
        new()
        {
            Name = "windows-hns",
            Product = "Windows container NAT (Host Networking Service)",
            IdleTimeout = 240,
            IsConfigurable = false,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources =
            [
                "https://github.com/microsoft/Windows-Containers/issues/353",
                "https://github.com/microsoft/Windows-Containers/issues/81",
                "https://github.com/kubernetes/kubernetes/issues/133639",
            ],
        },
    ];
}
