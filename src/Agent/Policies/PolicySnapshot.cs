using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Policies;

/// <summary>What is in force: a compiled policy with the agent's own settings. Immutable, swapped whole.</summary>
/// <param name="Policy">The rules.</param>
/// <param name="Existing">What to do with an application's own keepalive where the policy itself does not say.</param>
internal sealed record PolicySnapshot(CompiledPolicy Policy, ExistingMode Existing)
{
    /// <summary>Whether everything is known that policies are made of. Where not, a socket without a rule may be one whose rule is not known yet:
    /// what an earlier agent has set on it stays.</summary>
    public bool IsComplete { get; init; } = true;

    /// <summary>Whether there is a policy. Without one nothing that was set is restored for want of a rule.</summary>
    public bool IsDecided { get; private init; } = true;

    public static PolicySnapshot Empty { get; } = new(CompiledPolicy.Empty, ExistingMode.Tighten);

    /// <summary>Selects nothing and gives nothing back.</summary>
    public static PolicySnapshot Undecided { get; } = Empty with { IsComplete = false, IsDecided = false };

    /// <summary>Whether sockets with equal rules fare alike under both.</summary>
    public bool JudgesAs(PolicySnapshot other) => Existing == other.Existing && IsComplete == other.IsComplete;

    /// <summary>How many policies have a rule in it.</summary>
    public int Policies { get; } = Policy.Rules.Select(rule => rule.Policy).Distinct().Count();

    /// <summary>The rule for a connection, null where none selects it.</summary>
    public CompiledRule? Match(in SocketEndpoint local, in SocketEndpoint remote)
    {
        var (from, to) = (new Endpoint(local.Address, local.Port), new Endpoint(remote.Address, remote.Port));
        return Policy.Match(in from, in to);
    }
}
