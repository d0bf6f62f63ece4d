using System.Collections.Immutable;

namespace Keepalive.Config.Balancers;

/// <summary>Oracle Cloud Infrastructure, OpenStack and Cloudflare.</summary>
internal static class OtherCloudPresets
{
    private const string Oracle = "https://docs.oracle.com/en-us/iaas/Content/";

    internal static ImmutableArray<BalancerPreset> All { get; } =
    [
        new()
        {
            Name = "oci-lb",
            Product = "Oracle Cloud Infrastructure Load Balancer, TCP listener",
            IdleTimeout = 300,
            MaxIdleTimeout = 7200,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Unverified = BalancerFacts.Refresh,
            Sources = [Oracle + "Balance/Reference/connectionreuse.htm"],
            Notes = "HTTP listeners: 60 s, and each direction has a clock of its own.",
        },
        new()
        {
            Name = "oci-nlb",
            Product = "Oracle Cloud Infrastructure Network Load Balancer",
            IdleTimeout = 360,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources = [Oracle + "NetworkLoadBalancer/NetworkLoadBalancers/configure-idle-timeout.htm"],
            Notes = "Configurable by its command line and API only.",
        },
        new()
        {
            Name = "octavia",
            Product = "OpenStack Octavia, listener data timeouts",
            IdleTimeout = 50,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Sources = ["https://docs.openstack.org/api-ref/load-balancer/v2/"],
            Notes = "timeout_client_data and timeout_member_data.",
        },
        new()
        {
            Name = "cloudflare",
            Product = "Cloudflare, connections from clients",
            IdleTimeout = 400,
            IsConfigurable = false,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Unverified = BalancerFacts.Refresh,
            Sources = ["https://developers.cloudflare.com/fundamentals/reference/connection-limits/"],
            Notes = "900 s towards the origin, which it probes itself every 30 s.",
        },
    ];
}
