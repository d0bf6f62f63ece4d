using Keepalive.Config.Balancers;
using Xunit;

namespace Keepalive.Config.Tests.Balancers;

public sealed class UnknownBalancerTests
{
    [Theory]
    [InlineData("nlb", "aws-nlb", "oci-nlb")]
    [InlineData("aws-nbl", "aws-nlb")]
    [InlineData("AWS_NLB", "aws-nlb")]
    [InlineData("aws-elb", "aws-clb", "aws-nlb", "aws-alb")]
    [InlineData("global-accelerator", "aws-global-accelerator")]
    [InlineData("aws-nat", "aws-nat-gateway")]
    [InlineData("azure-loadbalancer", "azure-lb")]
    [InlineData("gcp-nat", "gcp-cloud-nat")]
    [InlineData("docker", "docker-swarm", "docker-desktop")]
    [InlineData("kube-proxy", "kube-proxy-ipvs", "kube-proxy-iptables")]
    [InlineData("swarm", "docker-swarm")]
    [InlineData("calico", "calico-ebpf")]
    [InlineData("aws-waf", "aws-nlb")]
    [InlineData("fly.io", "fly-proxy")]
    public void Near_NameWithAMistakeOrAPartMissing_FindsTheOnesThatMayBeMeant(string name, params string[] expected)
    {
        var near = UnknownBalancer.Near(name);
        Assert.All(expected, one => Assert.Contains(one, near));
        Assert.InRange(near.Length, 1, 4);
    }

    [Theory]
    [InlineData("zzz")]
    [InlineData("")]
    [InlineData("a")]
    [InlineData("-")]
    public void Near_NameLikeNoOther_IsEmpty(string name) => Assert.Empty(UnknownBalancer.Near(name));

    [Fact]
    public void Near_EndlessName_IsEmptyAtOnce() => Assert.Empty(UnknownBalancer.Near(new string('a', 100_000)));

    /// <summary>Regression: the gateways of AWS and Azure were suggested for Istio's, which is Envoy.</summary>
    [Theory]
    [InlineData("istio-gateway", "envoy")]
    [InlineData("istio-ingressgateway", "envoy")]
    [InlineData("Istio", "envoy")]
    [InlineData("contour", "envoy")]
    public void Near_ProductBuiltOnAnother_IsThatOne(string name, string expected) => Assert.Equal([expected], UnknownBalancer.Near(name));

    /// <summary>A name in upper case is one balancer's and no other's.</summary>
    [Fact]
    public void Near_KnownNameInOtherLetters_IsThatOneOnly() => Assert.Equal(["aws-nlb"], UnknownBalancer.Near("AWS-NLB"));

    [Fact]
    public void Explain_UnknownName_SaysHowToGoOnWithoutOne()
    {
        var (problem, fix) = UnknownBalancer.Explain("our-firewall", static (name, seconds) => $"{name}={seconds}s", "--idle-timeout TIMEOUT");
        Assert.Equal("\"our-firewall\" is not known", problem);
        Assert.EndsWith("'keepalive-sim balancers' lists all. For another, measure it ('keepalive-sim discover HOST:PORT') and write --idle-timeout TIMEOUT", fix, StringComparison.Ordinal);
    }

    [Fact]
    public void Explain_Ec2_DependsOnTheMachineWithBothValues()
    {
        var (problem, fix) = UnknownBalancer.Explain("aws-ec2", static (name, seconds) => $"{name}={seconds}s", "");
        Assert.Contains("depends on the instance type", problem, StringComparison.Ordinal);
        Assert.Contains("350s", problem, StringComparison.Ordinal);
        Assert.Contains("432000s", problem, StringComparison.Ordinal);
        Assert.Equal("write aws-security-group, or aws-security-group=432000s", fix);
    }
}
