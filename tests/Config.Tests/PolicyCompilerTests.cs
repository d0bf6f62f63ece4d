using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Xunit;

namespace Keepalive.Config.Tests;

public sealed class PolicyCompilerTests
{
    [Theory]
    [InlineData("virtual-destination-elb-host", "elb.amazonaws.example", "productpage.global")]
    [InlineData("service-load-balancer", "lb.example.com")]
    [InlineData("external-endpoints", "db.internal", "db2.example.com")]
    [InlineData("destination-rule-without-keepalive")]
    [InlineData("service-entry-forms", "api.example.com", "ep.example.com", "u.example.com")]
    [InlineData("render-services", "db.example.com")]
    public void WantedHosts_OfACase_AreThoseWhoseAddressesItNeeds(string name, params string[] hosts)
    {
        var read = PolicyReader.ReadText(File.ReadAllText(Path.Combine(CaseTests.Root(), name, "policy.yaml")), "x");
        Assert.Equal(hosts.Order(StringComparer.Ordinal), PolicyCompiler.Compile(read.Resources, new CompilerOptions()).WantedHosts.Order(StringComparer.Ordinal));
    }
}
