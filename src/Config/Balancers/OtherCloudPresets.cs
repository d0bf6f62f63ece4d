using System.Collections.Immutable;

namespace Keepalive.Config.Balancers;

/// <summary>Clouds other than the three largest.</summary>
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
        new()
        {
            Name = "cloudflare-gateway",
            Product = "Cloudflare Gateway (Zero Trust), TCP",
            IdleTimeout = 270,
            IsConfigurable = false,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Unverified = BalancerFacts.Expiry,
            Sources = ["https://github.com/cloudflare/cloudflare-docs/pull/3405"],
        },
        new()
        {
            Name = "fly-proxy",
            Product = "Fly.io proxy",
            IdleTimeout = 60,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Unverified = BalancerFacts.All,
            Sources = ["https://community.fly.io/t/60-second-timeout-for-http-server/1243"],
            Notes = "Known from reports of users.",
        },
        new()
        {
            Name = "digitalocean-lb",
            Product = "DigitalOcean Load Balancer",
            IdleTimeout = 60,
            MinIdleTimeout = 30,
            MaxIdleTimeout = 600,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources =
            [
                "https://docs.digitalocean.com/products/networking/load-balancers/details/limits/",
                "https://github.com/digitalocean/openapi/pull/758",
            ],
            Notes = "http_idle_timeout_seconds, for HTTP.",
        },
        new()
        {
            Name = "hetzner-lb",
            Product = "Hetzner Cloud Load Balancer",
            IdleTimeout = null,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Unverified = BalancerFacts.All,
            Sources = ["https://docs.hetzner.cloud/changelog#2026-04-30-load-balancers-http-idle-timeout-can-now-be-configured", "https://github.com/hetznercloud/hcloud-go/pull/842"],
            Notes = "timeout_idle of HTTP services, since April 2026.",
        },
        new()
        {
            Name = "huawei-elb",
            Product = "Huawei Cloud Elastic Load Balance, TCP listener",
            IdleTimeout = 300,
            MinIdleTimeout = 10,
            MaxIdleTimeout = 4000,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources = ["https://support.huaweicloud.com/intl/en-us/elb_faq/elb_faq_0309.html"],
            Notes = "keepalive_timeout.",
        },
        new()
        {
            Name = "alibaba-slb",
            Product = "Alibaba Cloud Classic Load Balancer (SLB), TCP listener",
            IdleTimeout = 900,
            MinIdleTimeout = 10,
            MaxIdleTimeout = 900,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources =
            [
                "https://www.alibabacloud.com/help/en/slb/classic-load-balancer/developer-reference/api-slb-2014-05-15-createloadbalancertcplistener",
                "https://github.com/cloudwu/skynet/issues/2071",
            ],
            Notes = "EstablishedTimeout.",
        },
        new()
        {
            Name = "alibaba-gwlb",
            Product = "Alibaba Cloud Gateway Load Balancer",
            IdleTimeout = 350,
            MinIdleTimeout = 60,
            MaxIdleTimeout = 6000,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources = ["https://www.alibabacloud.com/help/en/slb/gateway-based-load-balancing-gwlb/"],
        },
        new()
        {
            Name = "tencent-clb",
            Product = "Tencent Cloud Load Balancer, TCP listener",
            IdleTimeout = 900,
            MinIdleTimeout = 10,
            MaxIdleTimeout = 1980,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources =
            [
                "https://www.tencentcloud.com/document/product/214/32517",
                "https://github.com/tencentcloudstack/terraform-provider-tencentcloud/pull/3465",
            ],
            Notes = "IdleConnectTimeout; 900 s at most for shared and exclusive instances.",
        },
        new()
        {
            Name = "ucloud-clb",
            Product = "UCloud CLB, TCP",
            IdleTimeout = 60,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry,
            Sources = ["https://www.ucloud-global.com/en/docs/ulb/clb/faq/design/idletimeout"],
        },
    ];
}
