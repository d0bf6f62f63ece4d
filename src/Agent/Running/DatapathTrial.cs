using Keepalive.Agent.Policies;
using Keepalive.Agent.Support;

namespace Keepalive.Agent.Running;

/// <summary>The datapath that <c>run</c> uses here. It is found by starting it as <c>run</c> does.</summary>
/// <param name="Datapath">Its name; null if <c>run</c> would not start.</param>
/// <param name="WhyNot">Why it is not bpf, or why there is none, in the words of <c>run</c>; null for bpf.</param>
internal sealed record DatapathTrial(string? Datapath, string? WhyNot)
{
    /// <summary>Attaches the programs with an empty policy in force, which sets no socket, and detaches them.</summary>
    /// <param name="cgroup">The cgroup to attach to; null for the root of version 2.</param>
    public static DatapathTrial Run(string? cgroup)
    {
        if (Privileges.Missing() is { Count: > 0 } missing)
        {
            return new DatapathTrial(null, string.Join(" ", missing));
        }
        using var chosen = ChosenDatapath.Create(
            new DatapathRequest(DatapathKind.Auto, cgroup, [], Attach: true), DescriptorShares.Measure().Namespaces, PolicySnapshot.Empty, [], state: null);
        return new DatapathTrial(chosen.Datapath.Name, chosen.WhyNotBpf is { } why ? $"the {ChosenDatapath.NoBpf}{why}" : null);
    }
}
