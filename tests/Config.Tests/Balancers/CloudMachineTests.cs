using Keepalive.Config.Balancers;
using Xunit;

namespace Keepalive.Config.Tests.Balancers;

/// <summary>The clouds that firmware names, and the device there that forgets idle connections first.</summary>
public sealed class CloudMachineTests
{
    [Theory]
    [InlineData("m8i.large", "aws-security-group", "it is on Nitro v6")]
    [InlineData("c8gn.16xlarge", "aws-security-group", "it is on Nitro v6")]
    [InlineData("r8i-flex.xlarge", "aws-security-group", "it is on Nitro v6")]
    [InlineData("x8aedz.metal-24xl", "aws-security-group", "it is on Nitro v6")]
    [InlineData("p6-b200.48xlarge", "aws-security-group", "it is on Nitro v6")]
    [InlineData("hpc8a.96xlarge", "aws-security-group", "it is on Nitro v6")]
    [InlineData("m8g.large", "aws-nat-gateway", "it is not on Nitro v6")]
    [InlineData("i8g.large", "aws-nat-gateway", "it is not on Nitro v6")]
    [InlineData("p6e-gb200.36xlarge", "aws-nat-gateway", "it is not on Nitro v6")]
    [InlineData("m5.large", "aws-nat-gateway", "it is not on Nitro v6")]
    [InlineData("c7gn.medium", "aws-nat-gateway", "it is not on Nitro v6")]
    [InlineData("t4g.nano", "aws-nat-gateway", "it is not on Nitro v6")]
    [InlineData("u-24tb1.metal", "aws-nat-gateway", "it is not on Nitro v6")]
    [InlineData("u7i-12tb.224xlarge", "aws-nat-gateway", "it is not on Nitro v6")]
    [InlineData("g6e.xlarge", "aws-nat-gateway", "it is not on Nitro v6")]
    [InlineData("trn2.48xlarge", "aws-nat-gateway", "it is not on Nitro v6")]
    // Families that came later than the table.
    [InlineData("m10x.large", "aws-security-group", "it may be on Nitro v6")]
    [InlineData("r8zz.large", "aws-security-group", "it may be on Nitro v6")]
    [InlineData("p7.48xlarge", "aws-security-group", "it may be on Nitro v6")]
    [InlineData("", "aws-security-group", "it may be on Nitro v6")]
    public void Recognize_AmazonInstanceType_DecidesByItsNitroVersion(string type, string balancer, string why)
    {
        var machine = CloudMachine.Recognize(new MachineFacts("Amazon EC2", type, "Amazon EC2"))!;
        Assert.Equal(balancer, machine.Balancer?.Name);
        Assert.Equal(350, machine.Balancer?.IdleTimeout);
        Assert.Contains(why, machine.Why, StringComparison.Ordinal);
        Assert.Equal(type.Length == 0 ? "an Amazon EC2 machine" : $"an Amazon EC2 machine, {type}", machine.Name);
    }

    [Theory]
    [InlineData("Google", "Google Compute Engine", "", "a Google Cloud machine", "gcp-vpc-firewall", 600)]
    [InlineData("Microsoft Corporation", "Virtual Machine", "7783-7084-3265-9085-8269-3286-77", "an Azure machine", "azure-lb", 240)]
    [InlineData("QEMU", "Standard PC (i440FX + PIIX, 1996)", "OracleCloud.com", "an Oracle Cloud machine", "oci-nlb", 360)]
    [InlineData("Alibaba Cloud", "Alibaba Cloud ECS", "", "an Alibaba Cloud machine", "alibaba-security-group", 910)]
    [InlineData("DigitalOcean", "Droplet", "", "a DigitalOcean machine", null, null)]
    [InlineData("Hetzner", "vServer", "", "a Hetzner machine", null, null)]
    public void Recognize_OtherCloud_HasItsOwnDevice(string vendor, string product, string tag, string name, string? balancer, int? idleTimeout)
    {
        var machine = CloudMachine.Recognize(new MachineFacts(vendor, product, tag))!;
        Assert.Equal((name, balancer, idleTimeout), (machine.Name, machine.Balancer?.Name, machine.Balancer?.IdleTimeout));
        Assert.NotEqual(balancer is null, machine.Source?.StartsWith("https://", StringComparison.Ordinal) ?? false);
    }

    [Theory]
    [InlineData("", "", "")]
    [InlineData("QEMU", "Standard PC (Q35 + ICH9, 2009)", "")]
    [InlineData("Microsoft Corporation", "Virtual Machine", "1234-5678")]
    [InlineData("Dell Inc.", "m8i.large", "")]
    public void Recognize_MachineOfNoKnownCloud_IsNull(string vendor, string product, string tag) =>
        Assert.Null(CloudMachine.Recognize(new MachineFacts(vendor, product, tag)));
}
