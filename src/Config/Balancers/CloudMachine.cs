using System.Buffers;
using System.Collections.Frozen;

namespace Keepalive.Config.Balancers;

/// <summary>The facts that a machine's firmware states about it (<c>/sys/class/dmi/id</c>). Each is empty if unknown.</summary>
/// <param name="SystemVendor"><c>sys_vendor</c>.</param>
/// <param name="ProductName"><c>product_name</c>.</param>
/// <param name="ChassisAssetTag"><c>chassis_asset_tag</c>.</param>
/// <param name="BiosVersion"><c>bios_version</c>.</param>
/// <param name="ProductUuid"><c>product_uuid</c>; only root may read it.</param>
public readonly record struct MachineFacts(
    string SystemVendor, string ProductName, string ChassisAssetTag, string BiosVersion = "", string ProductUuid = "");

/// <summary>A machine of a cloud, and the device of this cloud that forgets its idle connections first, as far as is known without asking the
/// cloud.</summary>
/// <remarks>The facts are those by which cloud-init recognizes the clouds (cloudinit/sources, tools/ds-identify).</remarks>
public sealed record CloudMachine
{
    private const string NitroTable = "https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-nitro-instances.html";
    private const int MaxType = 32;
    private const string AzureTag = "7783-7084-3265-9085-8269-3286-77";

    private static readonly SearchValues<char> s_typeCharacters = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789.-");

    /// <summary>
    /// The families on Nitro v6, from the tables "Instance family summary" of the Amazon EC2 instance types guide (general purpose, compute,
    /// memory and storage optimized, accelerated, HPC), 2026: https://docs.aws.amazon.com/ec2/latest/instancetypes/gp.html, co.html, mo.html,
    /// so.html, ac.html, hpc.html. P6e-GB200 is on Nitro v5.
    /// </summary>
    private static readonly FrozenSet<string> s_nitro6 = FrozenSet.Create(
        StringComparer.Ordinal,
        "m8a", "m8azn", "m8gb", "m8gn", "m8i", "m8i-flex", "m8ib", "m8id", "m8idb", "m8idn", "m8in", "m8ine", "m9g", "m9gd",
        "c8a", "c8gb", "c8gn", "c8i", "c8i-flex", "c8ib", "c8id", "c8in", "c8ine",
        "r8a", "r8gb", "r8gn", "r8i", "r8i-flex", "r8ib", "r8id", "r8idb", "r8idn", "r8in", "x8aedz", "x8i",
        "i8ge", "g7e", "p6-b200", "p6-b300", "hpc8a");

    /// <summary>Families of the same age that are on Nitro v5, from the same tables.</summary>
    private static readonly FrozenSet<string> s_nitro5 = FrozenSet.Create(
        StringComparer.Ordinal, "m8g", "m8gd", "c8g", "c8gd", "r8g", "r8gd", "x8g", "i8g", "p6e-gb200");

    /// <summary>The first generation that may be on Nitro v6, of families with generations of their own; of the others it is 8.</summary>
    private static readonly FrozenDictionary<string, int> s_firstGeneration =
        new Dictionary<string, int>(StringComparer.Ordinal) { ["g"] = 7, ["p"] = 6, ["trn"] = 3, ["inf"] = 3, ["f"] = 3, ["mac"] = 4 }.ToFrozenDictionary();

    /// <summary>Security groups of Alibaba Cloud, which track connections. Not a preset: an audit on such a machine is its only use.</summary>
    private static readonly BalancerPreset s_alibabaSecurityGroup = new()
    {
        Name = "alibaba-security-group",
        Product = "Alibaba Cloud ECS connection tracking (security groups)",
        IdleTimeout = 910,
        Expiry = ExpiryClass.SilentDrop,
        Refresh = Refresh.AnyPacket,
        Unverified = BalancerFacts.Expiry | BalancerFacts.Refresh,
        Sources = ["https://www.alibabacloud.com/help/en/ecs/user-guide/security-group-rules", "https://www.alibabacloud.com/help/en/ecs/user-guide/connection-timeout-management"],
    };

    /// <summary>The machine in words: the cloud, and its type where the firmware states it.</summary>
    public required string Name { get; init; }

    /// <summary>The device that forgets idle connections; null if none is known for this cloud.</summary>
    public BalancerPreset? Balancer { get; init; }

    /// <summary>Why that one: a sentence without its end.</summary>
    public required string Why { get; init; }

    /// <summary>Where this is from; null if nothing is stated.</summary>
    public string? Source { get; init; }

    /// <summary>Recognizes a machine; null if it is of no known cloud.</summary>
    public static CloudMachine? Recognize(MachineFacts facts) => facts switch
    {
        { SystemVendor: "Amazon EC2" } => Amazon(facts.ProductName),
        // Xen has no instance type in its firmware, and was never on Nitro v6.
        { SystemVendor: "Xen" } when IsAmazon(facts) => Older("an Amazon EC2 machine on Xen"),
        // Chromebooks are of the same vendor.
        { ProductName: "Google Compute Engine" } => Of(
            "a Google Cloud machine", "gcp-vpc-firewall", "the firewall of its VPC network forgets an idle connection after 600s"),
        // Hyper-V on other hosts has the same vendor and another tag.
        { SystemVendor: "Microsoft Corporation", ChassisAssetTag: AzureTag } => Of(
            "an Azure machine", "azure-lb", "Azure's load balancers and NAT gateways forget an idle connection after 240s by default"),
        { ChassisAssetTag: "OracleCloud.com" } => Of(
            "an Oracle Cloud machine", "oci-nlb", "Oracle's network load balancers forget an idle connection after 360s by default; no source confirms that probes count"),
        { SystemVendor: "Alibaba Cloud" } => Of(
            "an Alibaba Cloud machine", s_alibabaSecurityGroup, "its security groups keep the state of an idle connection for up to 910s; no source confirms that probes count"),
        { SystemVendor: "DigitalOcean" } => Unknown("a DigitalOcean machine"),
        { SystemVendor: "Hetzner" } => Unknown("a Hetzner machine"),
        _ => null,
    };

    private static CloudMachine Amazon(string type)
    {
        // It is printed. The owner of the machine chooses its firmware, so only text that can be an instance type is believed.
        type = type.Length <= MaxType && !type.AsSpan().ContainsAnyExcept(s_typeCharacters) ? type : "";
        var family = type.Split('.')[0];
        var isKnown = type.Contains('.', StringComparison.Ordinal);
        var name = isKnown ? $"an Amazon EC2 machine, {type}" : "an Amazon EC2 machine";
        const string v6 = "security groups forget an idle connection after 350s, unless its network interface has another timeout";
        if (s_nitro6.Contains(family))
        {
            return Of(name, "aws-security-group", $"it is on Nitro v6, whose {v6}") with { Source = NitroTable };
        }
        if (isKnown && (s_nitro5.Contains(family) || IsOlder(family)))
        {
            return Older(name);
        }
        return Of(name, "aws-security-group", $"it may be on Nitro v6, whose {v6}") with { Source = NitroTable };
    }

    private static CloudMachine Older(string name) => Of(
        name, "aws-nat-gateway", "its security groups keep an idle connection for 432000s by default, because it is not on Nitro v6, "
            + "but NAT gateways, Network Load Balancers and interface endpoints of AWS forget it after 350s") with
    { Source = NitroTable };

    private static bool IsAmazon(MachineFacts facts) => facts.BiosVersion.EndsWith(".amazon", StringComparison.OrdinalIgnoreCase)
        || facts.ProductUuid.StartsWith("ec2", StringComparison.OrdinalIgnoreCase);

    private static bool IsOlder(string family)
    {
        var letters = family.AsSpan().IndexOfAnyInRange('0', '9');
        if (letters <= 0)
        {
            return family.StartsWith("u-", StringComparison.Ordinal);   // u-6tb1: the number is its memory
        }
        var digits = family.AsSpan(letters).IndexOfAnyExceptInRange('0', '9');
        var number = digits < 0 ? family.AsSpan(letters) : family.AsSpan(letters, digits);
        return family.StartsWith("u-", StringComparison.Ordinal)
            || (int.TryParse(number, out var generation) && generation < s_firstGeneration.GetValueOrDefault(family[..letters], 8));
    }

    private static CloudMachine Of(string name, string balancer, string why) => Of(name, BalancerPresets.Find(balancer)!, why);

    private static CloudMachine Of(string name, BalancerPreset balancer, string why) => new() { Name = name, Balancer = balancer, Why = why, Source = balancer.Sources[0] };

    private static CloudMachine Unknown(string name) => new() { Name = name, Why = "no source states when this cloud forgets the idle connections of a machine" };
}
