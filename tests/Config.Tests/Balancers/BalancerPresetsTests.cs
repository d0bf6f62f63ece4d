using Keepalive.Config.Balancers;
using Xunit;

namespace Keepalive.Config.Tests.Balancers;

public sealed class BalancerPresetsTests
{
    public static TheoryData<string> Names => [.. BalancerPresets.All.Select(preset => preset.Name)];

    [Fact]
    public void All_Names_IncludeEveryDocumentedOne()
    {
        string[] promised =
        [
            "aws-nlb", "aws-nlb-tls", "aws-alb", "aws-clb", "aws-gwlb", "aws-nat-gateway", "aws-network-firewall",
            "azure-lb", "azure-lb-tcp-reset", "azure-nat-gateway", "azure-firewall",
            "gcp-vpc-firewall", "gcp-passthrough-nlb", "gcp-cloud-nat",
            "kube-proxy-ipvs", "linux-conntrack", "cilium", "envoy", "haproxy", "nginx", "octavia", "oci-nlb",
            "f5-fastl4", "cisco-asa", "palo-alto",
            "aws-global-accelerator", "aws-rds-proxy", "azure-private-link", "azure-redis", "windows-hns", "digitalocean-lb", "hetzner-lb", "huawei-elb",
            "alibaba-slb", "alibaba-gwlb", "tencent-clb", "ucloud-clb", "cloudflare-gateway", "fortigate", "forticontroller", "fly-proxy", "docker-desktop",
            "calico-ebpf", "kube-proxy-iptables", "gcp-proxy-nlb",
        ];
        Assert.All(promised, name => Assert.NotNull(BalancerPresets.Find(name)));
    }

    [Fact]
    public void All_NamesAndProducts_AreUnique()
    {
        Assert.Distinct(BalancerPresets.All.Select(preset => preset.Name));
        Assert.Distinct(BalancerPresets.All.Select(preset => preset.Product));
    }

    [Fact]
    public void Find_UnknownName_IsNull() => Assert.Null(BalancerPresets.Find("AWS-NLB"));

    [Theory]
    [MemberData(nameof(Names))]
    public void Preset_IsConsistent(string name)
    {
        var preset = BalancerPresets.Find(name)!;

        Assert.Matches("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", preset.Name);
        Assert.NotEmpty(preset.Product);
        Assert.DoesNotContain('\n', preset.Notes);
        Assert.NotEmpty(preset.Sources);
        Assert.Distinct(preset.Sources);
        Assert.All(preset.Sources, source => Assert.True(IsHttpsPage(source), source));

        Assert.True(preset.IdleTimeout is null or > 0);
        Assert.True(preset.MinIdleTimeout is null || preset.IdleTimeout >= preset.MinIdleTimeout);
        Assert.True(preset.MaxIdleTimeout is null || preset.IdleTimeout <= preset.MaxIdleTimeout);
        Assert.True(preset.IsConfigurable || preset is { IdleTimeout: not null, MinIdleTimeout: null, MaxIdleTimeout: null });
    }

    /// <summary>A proxy has two connections of its own: it closes them, and the bare ACKs of one do not refresh the other.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Preset_ThatOnlyPayloadRefreshes_Closes(string name)
    {
        var preset = BalancerPresets.Find(name)!;
        Assert.True(preset.Refresh != Refresh.PayloadOnly || preset.Expiry == ExpiryClass.FinBoth);
    }

    [Theory]
    [InlineData("aws-nlb", 350, ExpiryClass.ResetOnNextPacket, Refresh.AnyPacket, BalancerFacts.None)]
    [InlineData("aws-alb", 60, ExpiryClass.FinBoth, Refresh.PayloadOnly, BalancerFacts.None)]
    [InlineData("aws-nat-gateway", 350, ExpiryClass.ResetOnNextPacket, Refresh.AnyPacket, BalancerFacts.Expiry)]
    [InlineData("azure-lb", 240, ExpiryClass.SilentDrop, Refresh.AnyPacket, BalancerFacts.None)]
    [InlineData("azure-lb-tcp-reset", 240, ExpiryClass.ResetBoth, Refresh.AnyPacket, BalancerFacts.None)]
    [InlineData("gcp-vpc-firewall", 600, ExpiryClass.InsideRevives, Refresh.AnyPacket, BalancerFacts.None)]
    [InlineData("aws-network-firewall", 350, ExpiryClass.DropUntilSyn, Refresh.AnyPacket, BalancerFacts.None)]
    [InlineData("kube-proxy-ipvs", 900, ExpiryClass.ResetOnNextPacket, Refresh.AnyPacket, BalancerFacts.None)]
    [InlineData("aws-global-accelerator", 340, ExpiryClass.FinBoth, Refresh.PayloadOnly, BalancerFacts.Expiry)]
    [InlineData("docker-desktop", 300, ExpiryClass.FinBoth, Refresh.PayloadOnly, BalancerFacts.None)]
    [InlineData("cloudflare-gateway", 270, ExpiryClass.FinBoth, Refresh.PayloadOnly, BalancerFacts.Expiry)]
    [InlineData("aws-rds-proxy", 1800, ExpiryClass.FinBoth, Refresh.PayloadOnly, BalancerFacts.None)]
    [InlineData("azure-private-link", 300, ExpiryClass.SilentDrop, Refresh.AnyPacket, BalancerFacts.Expiry)]
    [InlineData("kube-proxy-iptables", 86400, ExpiryClass.InsideRevives, Refresh.AnyPacket, BalancerFacts.None)]
    [InlineData("fly-proxy", 60, ExpiryClass.FinBoth, Refresh.PayloadOnly, BalancerFacts.All)]
    [InlineData("palo-alto", 3600, ExpiryClass.SilentDrop, Refresh.AnyPacket, BalancerFacts.Expiry | BalancerFacts.Refresh)]
    public void Preset_Known_IsAsItsSourceSays(string name, int idleTimeout, ExpiryClass expiry, Refresh refresh, BalancerFacts unverified)
    {
        var preset = BalancerPresets.Find(name)!;
        Assert.Equal((idleTimeout, expiry, refresh, unverified), (preset.IdleTimeout, preset.Expiry, preset.Refresh, preset.Unverified));
    }

    [Theory]
    [InlineData("http://example.com/page")]
    [InlineData("https://example.com/")]
    [InlineData("docs.aws.amazon.com/page")]
    public void IsHttpsPage_OfSomethingElse_IsFalse(string source) => Assert.False(IsHttpsPage(source));

    [Fact]
    public void Haproxy_HasNoTimeoutOfItsOwn() => Assert.Null(BalancerPresets.Find("haproxy")!.IdleTimeout);

    [Theory]
    [InlineData("aws-nitro-v6", "aws-security-group")]
    [InlineData("docker-swarm", "kube-proxy-ipvs")]
    [InlineData("ingress-nginx-stream", "nginx-stream")]
    public void Find_Alias_IsThePresetUnderThatName(string alias, string name)
    {
        var (found, preset) = (BalancerPresets.Find(alias)!, BalancerPresets.Find(name)!);
        Assert.Equal(alias, found.Name);
        Assert.Equal((preset.IdleTimeout, preset.Behaviour, preset.Unverified), (found.IdleTimeout, found.Behaviour, found.Unverified));
        Assert.DoesNotContain(found, BalancerPresets.All);
        Assert.Contains(alias, BalancerPresets.Names);
    }

    [Theory]
    [InlineData("aws-nlb", 350, null)]
    [InlineData("aws-nlb", 6000, "aws-nlb takes 6000s at most")]
    [InlineData("aws-nat-gateway", 350, "aws-nat-gateway always has 350s")]
    [InlineData("cloudflare", 400, "cloudflare always has 400s")]
    [InlineData("haproxy", 60, null)]
    public void WhyNoLonger_IsTheReasonOrNull(string name, int timeout, string? expected) =>
        Assert.Equal(expected, BalancerPresets.Find(name)!.WhyNoLonger(timeout));

    [Theory]
    [InlineData("haproxy", "has no idle timeout until one is configured")]
    [InlineData("hetzner-lb", "has a default idle timeout that no source states")]
    [InlineData("aws-nlb", null)]
    public void WhyNoTimeout_DistinguishesNoneFromUnknown(string name, string? expected) => Assert.Equal(expected, BalancerPresets.Find(name)!.WhyNoTimeout);

    [Fact]
    public void IsVerified_OfSeveralFacts_NeedsEvery()
    {
        var preset = BalancerPresets.Find("aws-nat-gateway")!;
        Assert.True(preset.IsVerified(BalancerFacts.IdleTimeout | BalancerFacts.Refresh));
        Assert.False(preset.IsVerified(BalancerFacts.All));
    }

    private static bool IsHttpsPage(string source) =>
        Uri.TryCreate(source, UriKind.Absolute, out var uri) && uri.Scheme == Uri.UriSchemeHttps && uri.AbsolutePath.Length > 1;
}
