using System.Collections.Immutable;

namespace Keepalive.Config.Balancers;

/// <summary>Software on Linux: the kernel's own tables, and proxies.</summary>
internal static class SoftwarePresets
{
    private const string Kernel = "https://github.com/torvalds/linux/blob/v6.12/net/netfilter/";

    internal static ImmutableArray<BalancerPreset> All { get; } =
    [
        new()
        {
            Name = "linux-conntrack",
            Product = "Linux nf_conntrack",
            IdleTimeout = 432_000,
            Expiry = ExpiryClass.InsideRevives,
            Refresh = Refresh.AnyPacket,
            Sources = [Kernel + "nf_conntrack_proto_tcp.c", "https://docs.kernel.org/networking/nf_conntrack-sysctl.html"],
            Notes = "Only 300 s after unacknowledged data, a zero window, a reset, or three unanswered probes.",
        },
        new()
        {
            Name = "kube-proxy-ipvs",
            Product = "Linux IPVS, kube-proxy's ipvs mode",
            IdleTimeout = 900,
            Expiry = ExpiryClass.ResetOnNextPacket,
            Refresh = Refresh.AnyPacket,
            Sources = [Kernel + "ipvs/ip_vs_proto_tcp.c", "https://github.com/kubernetes/kubernetes/issues/80298"],
            Notes = "--ipvs-tcp-timeout. The node's own stack sends the reset.",
        },
        new()
        {
            Name = "kube-proxy-iptables",
            Product = "Linux nf_conntrack as kube-proxy's iptables and nftables modes set it",
            IdleTimeout = 86_400,
            Expiry = ExpiryClass.InsideRevives,
            Refresh = Refresh.AnyPacket,
            Sources =
            [
                "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-proxy/",
                "https://github.com/alanxz/rabbitmq-c/issues/411",
            ],
            Notes = "--conntrack-tcp-timeout-established; 3600 s once one end has closed (--conntrack-tcp-timeout-close-wait).",
        },
        new()
        {
            Name = "calico-ebpf",
            Product = "Calico, connection tracking in eBPF",
            IdleTimeout = 1200,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.IdleTimeout | BalancerFacts.Refresh,
            Sources = ["https://github.com/projectcalico/calico/issues/9372", "https://github.com/projectcalico/cni-plugin/issues/1006"],
            Notes = "bpfConntrackTimeouts. Connections were lost after 20 to 40 minutes, and later.",
        },
        new()
        {
            Name = "cilium",
            Product = "Cilium, connection tracking in eBPF",
            IdleTimeout = 8000,
            Expiry = ExpiryClass.DropUntilSyn,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.IdleTimeout | BalancerFacts.Expiry,
            Sources = ["https://github.com/cilium/cilium/pull/27665", "https://github.com/cilium/cilium/issues/2697"],
            Notes = "--bpf-ct-timeout-regular-tcp; older releases have 21600 s.",
        },
        new()
        {
            Name = "envoy",
            Product = "Envoy, TCP proxy and HTTP connections",
            IdleTimeout = 3600,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Sources = ["https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts"],
        },
        new()
        {
            Name = "haproxy",
            Product = "HAProxy",
            IdleTimeout = null,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Sources = ["https://github.com/haproxy/haproxy/blob/master/doc/configuration.txt"],
            Notes = "timeout client, timeout server and timeout tunnel. option clitcpka and srvtcpka make it probe either side itself.",
        },
        new()
        {
            Name = "nginx",
            Product = "nginx, HTTP connections from clients",
            IdleTimeout = 75,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Sources = ["https://nginx.org/en/docs/http/ngx_http_core_module.html#keepalive_timeout"],
        },
        new()
        {
            Name = "nginx-stream",
            Product = "nginx, stream proxy",
            IdleTimeout = 600,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Unverified = BalancerFacts.IdleTimeout,
            Sources = ["https://nginx.org/en/docs/stream/ngx_stream_proxy_module.html#proxy_timeout"],
            Notes = "proxy_timeout. listen … so_keepalive and proxy_socket_keepalive make it probe either side itself.",
        },
        new()
        {
            Name = "docker-desktop",
            Product = "Docker Desktop, connections out of containers (vpnkit)",
            IdleTimeout = 300,
            Expiry = ExpiryClass.FinBoth,
            Refresh = Refresh.PayloadOnly,
            Sources =
            [
                "https://github.com/moby/vpnkit/issues/414",
                "https://github.com/docker/for-mac/issues/5886",
                "https://github.com/docker/for-win/issues/2639",
                "https://github.com/docker/desktop-feedback/issues/614",
            ],
            Notes = "vpnKitMaxPortIdleTime in its settings file. Version 4.87.0 for macOS does not answer probes: keepalive ends healthy connections.",
        },
    ];
}
