using System.Collections.Immutable;

namespace Keepalive.Config.Balancers;

/// <summary>Load balancers and firewalls that come as a box or its image.</summary>
internal static class AppliancePresets
{
    internal static ImmutableArray<BalancerPreset> All { get; } =
    [
        new()
        {
            Name = "f5-fastl4",
            Product = "F5 BIG-IP, FastL4 profile",
            IdleTimeout = 300,
            Expiry = ExpiryClass.ResetBoth,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Refresh,
            Sources =
            [
                "https://clouddocs.f5.com/products/extensions/f5-appsvcs-extension/latest/refguide/schema-reference.html",
                "https://networkengineering.stackexchange.com/questions/3188",
            ],
            Notes = "Without resetOnTimeout it is silent.",
        },
        new()
        {
            Name = "cisco-asa",
            Product = "Cisco ASA and Firewall Threat Defense",
            IdleTimeout = 3600,
            MinIdleTimeout = 300,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources = ["https://docs.defenseorchestrator.com/cdfmc/t_configure_global_timeouts_fptd.html"],
        },
        new()
        {
            Name = "palo-alto",
            Product = "Palo Alto Networks PAN-OS",
            IdleTimeout = 3600,
            MinIdleTimeout = 1,
            MaxIdleTimeout = 15_999_999,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources = ["https://knowledgebase.paloaltonetworks.com/KCSArticleDetail?id=kA10g000000ClYiCAK"],
        },
        new()
        {
            Name = "fortigate",
            Product = "Fortinet FortiGate",
            IdleTimeout = 3600,
            MinIdleTimeout = 300,
            MaxIdleTimeout = 2_764_800,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources = ["https://docs.fortinet.com/document/fortigate/6.0.0/cli-reference/476602", "https://github.com/adrienverge/openfortivpn/issues/485"],
            Notes = "config system session-ttl; 604800 s at most in older releases.",
        },
        new()
        {
            Name = "forticontroller",
            Product = "Fortinet FortiController",
            IdleTimeout = 3605,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.AnyPacket,
            Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
            Sources = ["https://docs.fortinet.com/product/forticontroller/5.2"],
        },
        new()
        {
            Name = "clavister",
            Product = "Clavister cOS Core",
            IdleTimeout = 262_144,
            Expiry = ExpiryClass.SilentDrop,
            Refresh = Refresh.PerDirection,
            Unverified = BalancerFacts.Expiry,
            Sources = ["https://docs.clavister.com/repo/cos-core-administration-guide/14.00/doc/conn_timeout_settings.html"],
        },
    ];
}
