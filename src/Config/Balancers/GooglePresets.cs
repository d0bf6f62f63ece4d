using System.Collections.Immutable;

namespace Keepalive.Config.Balancers;

/// <summary>Google Cloud.</summary>
internal static class GooglePresets
{
    private const string ConnectionTracking =
        "https://pub.dev/documentation/googleapis/latest/compute_v1/BackendServiceConnectionTrackingPolicy/idleTimeoutSec.html";

    internal static ImmutableArray<BalancerPreset> All { get; } =
    [
        new()
        {
            Name = "gcp-vpc-firewall",
            Product = "Google Cloud VPC firewall, connection tracking",
            IdleTimeout = 600,
            IsConfigurable = false,
            Expiry = ExpiryClass.InsideRevives,
            Refresh = Refresh.AnyPacket,
            Sources = ["https://cloud.google.com/compute/docs/troubleshooting/general-tips"],
        },
        new()
        {
            Name = "gcp-passthrough-nlb",
            Product = "Google Cloud internal passthrough Network Load Balancer",
            IdleTimeout = 600,
            MinIdleTimeout = 600,
            MaxIdleTimeout = 57_600,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources = [ConnectionTracking],
            Notes = "Configurable only with an affinity of less than five tuples. After expiry packets may also go to another backend.",
        },
        new()
        {
            Name = "gcp-external-passthrough-nlb",
            Product = "Google Cloud external passthrough Network Load Balancer",
            IdleTimeout = 60,
            IsConfigurable = false,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources = [ConnectionTracking],
            Notes = "After expiry packets may also go to another backend.",
        },
        new()
        {
            Name = "gcp-cloud-nat",
            Product = "Google Cloud NAT",
            IdleTimeout = 1200,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Sources =
            [
                "https://cloud.google.com/nat/docs/tune-nat-configuration",
                "https://cloud.google.com/sdk/gcloud/reference/compute/routers/nats/update",
                "https://oneuptime.com/blog/post/2026-02-17-how-to-configure-cloud-nat-timeout-values-for-long-lived-tcp-connections-in-gcp/view",
            ],
            Notes = "--tcp-established-idle-timeout.",
        },
        new()
        {
            Name = "gcp-alb",
            Product = "Google Cloud external Application Load Balancer, connections to backends",
            IdleTimeout = 600,
            IsConfigurable = false,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Sources = ["https://docs.cloud.google.com/load-balancing/docs/https/request-distribution"],
            Notes = "610 s towards clients. A backend that closes first causes 502.",
        },
        new()
        {
            Name = "gcp-proxy-nlb",
            Product = "Google Cloud proxy Network Load Balancer",
            IdleTimeout = 30,
            MinIdleTimeout = 1,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Unverified = BalancerFacts.All,
            Sources =
            [
                "https://cloud.google.com/load-balancing/docs/backend-service#timeout-setting",
                "https://pub.dev/documentation/pulumi_gcp/latest/compute/BackendService/timeoutSec.html",
            ],
            Notes = "The timeout of the backend service, which means different things for different balancers.",
        },
    ];
}
