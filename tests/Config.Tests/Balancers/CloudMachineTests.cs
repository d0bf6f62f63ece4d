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

    /// <summary>Instances of before Nitro: by the version of their BIOS, which all may read, or by a UUID that begins with "ec2".</summary>
    [Theory]
    [InlineData("4.11.amazon", "")]
    [InlineData("", "ec2e1916-9099-7caf-fd21-012345abcdef")]
    [InlineData("4.2.amazon", "EC27A3F1-1111-2222-3333-444455556666")]
    public void Recognize_AmazonOnXen_IsNotOnNitro6(string bios, string uuid)
    {
        var machine = CloudMachine.Recognize(new MachineFacts("Xen", "HVM domU", "", bios, uuid))!;
        Assert.Equal(("an Amazon EC2 machine on Xen", "aws-nat-gateway"), (machine.Name, machine.Balancer?.Name));
        Assert.Contains("it is not on Nitro v6", machine.Why, StringComparison.Ordinal);
        Assert.Null(CloudMachine.Recognize(new MachineFacts("Xen", "HVM domU", "", "4.13", "4c4c4544-0042-4410-8056-b4c04f595831")));
    }

    /// <summary>Regression: the name of a product was printed as it is.</summary>
    [Theory]
    [InlineData("m8i.large\u001b[31m")]
    [InlineData("m8i.large\nKA000")]
    [InlineData("m5.\u202elarge")]
    [InlineData("m5.a-very-long-name-that-no-instance-type-has")]
    public void Recognize_NameThatIsNoInstanceType_IsNotPrinted(string product)
    {
        var machine = CloudMachine.Recognize(new MachineFacts("Amazon EC2", product, ""))!;
        Assert.Equal("an Amazon EC2 machine", machine.Name);
        Assert.Contains("it may be on Nitro v6", machine.Why, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "", "")]
    [InlineData("Google", "Eve", "")]
    [InlineData("Google", "Google", "")]
    [InlineData("QEMU", "Standard PC (Q35 + ICH9, 2009)", "")]
    [InlineData("Microsoft Corporation", "Virtual Machine", "1234-5678")]
    [InlineData("Dell Inc.", "m8i.large", "")]
    public void Recognize_MachineOfNoKnownCloud_IsNull(string vendor, string product, string tag) =>
        Assert.Null(CloudMachine.Recognize(new MachineFacts(vendor, product, tag)));
}
