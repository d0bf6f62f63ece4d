using System.Collections.Immutable;

namespace Keepalive.Config.Balancers;

/// <summary>Amazon Web Services.</summary>
internal static class AwsPresets
{
    private const string LoadBalancing = "https://docs.aws.amazon.com/elasticloadbalancing/latest/";

    private const string LongRunning =
        "https://aws.amazon.com/blogs/networking-and-content-delivery/implementing-long-running-tcp-connections-within-vpc-networking/";

    internal static ImmutableArray<BalancerPreset> All { get; } =
    [
        new()
        {
            Name = "aws-nlb",
            Product = "AWS Network Load Balancer, TCP listener",
            IdleTimeout = 350,
            MinIdleTimeout = 60,
            MaxIdleTimeout = 6000,
            Expiry = ExpiryClass.ResetOnNextPacket,
            Refresh = Refresh.AnyPacket,
            Sources =
            [
                LoadBalancing + "network/update-idle-timeout.html",
                LoadBalancing + "network/load-balancer-listeners.html",
                LongRunning,
            ],
        },
        new()
        {
            Name = "aws-nlb-tls",
            Product = "AWS Network Load Balancer, TLS listener",
            IdleTimeout = 350,
            IsConfigurable = false,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.AnyPacket,
            Sources = [LoadBalancing + "network/update-idle-timeout.html", "https://repost.aws/knowledge-center/lambda-vpc-timeout"],
            Notes = "Probes must have no payload. The balancer probes both sides itself, every 20 s.",
        },
        new()
        {
            Name = "aws-alb",
            Product = "AWS Application Load Balancer",
            IdleTimeout = 60,
            MinIdleTimeout = 1,
            MaxIdleTimeout = 4000,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Sources = [LoadBalancing + "application/edit-load-balancer-attributes.html"],
            Notes = "It takes a byte of data; an HTTP/2 PING does not count either.",
        },
        new()
        {
            Name = "aws-clb",
            Product = "AWS Classic Load Balancer",
            IdleTimeout = 60,
            MinIdleTimeout = 1,
            MaxIdleTimeout = 4000,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Sources = [LoadBalancing + "classic/config-idle-timeout.html"],
        },
        new()
        {
            Name = "aws-gwlb",
            Product = "AWS Gateway Load Balancer",
            IdleTimeout = 350,
            MinIdleTimeout = 60,
            MaxIdleTimeout = 6000,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Refresh,
            Sources = [LoadBalancing + "gateway/gateway-listeners.html"],
            Notes = "With send_tcp_reset.on_idle_timeout.enabled it sends resets at expiry and to unknown flows.",
        },
        new()
        {
            Name = "aws-nat-gateway",
            Product = "AWS NAT gateway",
            IdleTimeout = 350,
            IsConfigurable = false,
            Expiry = ExpiryClass.ResetOnNextPacket,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry,
            Sources = [LongRunning],
        },
        new()
        {
            Name = "aws-vpc-endpoint",
            Product = "AWS interface VPC endpoint",
            IdleTimeout = 350,
            IsConfigurable = false,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Sources = [LongRunning],
        },
        new()
        {
            Name = "aws-network-firewall",
            Product = "AWS Network Firewall",
            IdleTimeout = 350,
            MinIdleTimeout = 60,
            MaxIdleTimeout = 6000,
            Expiry = ExpiryClass.DropUntilSyn,
            Refresh = Refresh.AnyPacket,
            Sources = ["https://docs.aws.amazon.com/network-firewall/latest/APIReference/API_FlowTimeouts.html"],
        },
        new()
        {
            Name = "aws-security-group",
            Product = "AWS EC2 connection tracking (security groups), Nitro v6",
            IdleTimeout = 350,
            MinIdleTimeout = 60,
            MaxIdleTimeout = 432_000,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Sources = ["https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ConnectionTrackingConfiguration.html"],
            Notes = "Other instance types keep connections for 432000 s by default.",
        },
        new()
        {
            Name = "aws-global-accelerator",
            Product = "AWS Global Accelerator",
            IdleTimeout = 340,
            IsConfigurable = false,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            DropsProbes = true,
            Unverified = BalancerFacts.Expiry,
            Sources =
            [
                "https://docs.aws.amazon.com/global-accelerator/latest/dg/introduction-how-it-works.html#about-idle-timeout",
                "https://github.com/pingcap/docs/pull/21743",
                "https://github.com/nodejs/node/issues/63043",
            ],
            Notes = "It answers the first probes and later ones no more: keepalive ends healthy connections. An HTTP/2 PING counts.",
        },
        new()
        {
            Name = "aws-rds-proxy",
            Product = "AWS RDS Proxy, connections from clients",
            IdleTimeout = 1800,
            MinIdleTimeout = 1,
            MaxIdleTimeout = 28_800,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Sources = ["https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-proxy-connections.html"],
            Notes = "IdleClientTimeout. Only a new request of the application counts.",
        },
    ];
}
