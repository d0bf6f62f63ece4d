using Keepalive.Config.Balancers;

namespace Keepalive.Simulator.Demo;

/// <summary>An act of the demo, and how it must come out.</summary>
/// <param name="Title">Its title.</param>
/// <param name="Balancer">The preset whose behaviour the balancer has.</param>
/// <param name="WithPolicy">Whether the agent enforces the policy.</param>
/// <param name="Status">The status of the request after the idle time.</param>
internal sealed record DemoAct(string Title, BalancerPreset Balancer, bool WithPolicy, int Status)
{
    public static IReadOnlyList<DemoAct> All { get; } =
    [
        new("Act 1: no policy, and a balancer that resets what it has forgotten", Preset("aws-nlb"), false, 503),
        new("Act 2: no policy, and a balancer that swallows it", Preset("azure-lb"), false, 504),
        new("Act 3: the same balancer, and the policy enforced from outside by keepalive-agent", Preset("azure-lb"), true, 200),
    ];

    private static BalancerPreset Preset(string name) => BalancerPresets.Find(name) ?? throw new InvalidOperationException($"there is no preset {name}");
}
