using System.Collections.Frozen;
using System.Collections.Immutable;

namespace Keepalive.Config.Balancers;

/// <summary>The balancers known by name.</summary>
/// <remarks>Values are the vendors' defaults; a balancer that was configured otherwise has its own.</remarks>
public static class BalancerPresets
{
    /// <summary>All of them, those of one vendor together.</summary>
    public static ImmutableArray<BalancerPreset> All { get; } =
    [
        .. AwsPresets.All,
        .. AzurePresets.All,
        .. GooglePresets.All,
        .. OtherCloudPresets.All,
        .. SoftwarePresets.All,
        .. AppliancePresets.All,
    ];

    /// <summary>Other names that people look for, each with the preset that it stands for, its product and a source.</summary>
    public static ImmutableArray<(string Name, string Of, string Product, string Source)> Aliases { get; } =
    [
        (
            "aws-nitro-v6", "aws-security-group", "AWS EC2 machine of the sixth Nitro generation (c8i, m8i, r8i and others)",
            "https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-nitro-instances.html"
        ),
        (
            "docker-swarm", "kube-proxy-ipvs", "Docker Swarm, virtual addresses of services (Linux IPVS)",
            "https://github.com/moby/moby/issues/31208"
        ),
        (
            "ingress-nginx-stream", "nginx-stream", "ingress-nginx, TCP services (proxy-stream-timeout)",
            "https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/configmap/#proxy-stream-timeout"
        ),
    ];

    /// <summary>A device of which only the idle timeout is given: any packet counts, and nothing is known of what it does at expiry.</summary>
    /// <remarks>It is not one of <see cref="All"/>.</remarks>
    public static BalancerPreset Unnamed { get; } = new()
    {
        Name = "a device on the path",
        Product = "A device on the path",
        IdleTimeout = null,
        Expiry = ExpiryClass.SilentDrop,
        Refresh = Refresh.AnyPacket,
        Sources = [],
    };

    private static readonly FrozenDictionary<string, BalancerPreset> s_byName =
        All.Concat(Aliases.Select(alias => All.First(preset => preset.Name == alias.Of) with
        {
            Name = alias.Name,
            Product = alias.Product,
            Sources = [alias.Source],
        }))
            .ToFrozenDictionary(preset => preset.Name, StringComparer.Ordinal);

    /// <summary>Every name that <see cref="Find"/> knows.</summary>
    public static ImmutableArray<string> Names { get; } = [.. All.Select(preset => preset.Name), .. Aliases.Select(alias => alias.Name)];

    /// <summary>The preset of that name or alias, or null. One that was found by an alias has that name.</summary>
    public static BalancerPreset? Find(string name) => s_byName.GetValueOrDefault(name);
}
