using Keepalive.Config.Balancers;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>The balancer of a lab.</summary>
/// <param name="Preset">Where its values come from; null when all were given.</param>
/// <param name="Rule">The balancer's rule.</param>
internal sealed record LabSetting(BalancerPreset? Preset, BalancerRule Rule);
