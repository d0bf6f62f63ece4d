namespace Keepalive.Config.Balancers;

/// <summary>A balancer that connections go through.</summary>
/// <param name="Preset">The balancer.</param>
/// <param name="IdleTimeout">Its idle timeout where it was configured, seconds; null takes the balancer's own.</param>
public readonly record struct BalancerOnPath(BalancerPreset Preset, double? IdleTimeout = null);
