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

    private static readonly FrozenDictionary<string, BalancerPreset> s_byName =
        All.ToFrozenDictionary(preset => preset.Name, StringComparer.Ordinal);

    /// <summary>The preset of that name, or null.</summary>
    public static BalancerPreset? Find(string name) => s_byName.GetValueOrDefault(name);
}
