using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Policies;

/// <summary>The policy in force: the compiled policy with the agent's own settings. Immutable, and always replaced as a whole.</summary>
/// <param name="Policy">The rules.</param>
/// <param name="Existing">The treatment of an application's own keepalive, if the policy does not set it.</param>
internal sealed record PolicySnapshot(CompiledPolicy Policy, ExistingMode Existing)
{
    /// <summary>Whether all objects that policies depend on are known. If not, the rule of a socket may be unknown yet. The values that an
    /// earlier agent set on such a socket then stay.</summary>
    public bool IsComplete { get; init; } = true;

    /// <summary>Whether there is a policy. Without one, sockets are not restored because they have no rule.</summary>
    public bool IsDecided { get; private init; } = true;

    public static PolicySnapshot Empty { get; } = new(CompiledPolicy.Empty, ExistingMode.Tighten);

    /// <summary>The policy that selects nothing and restores nothing.</summary>
    public static PolicySnapshot Undecided { get; } = Empty with { IsComplete = false, IsDecided = false };

    /// <summary>Whether sockets with equal rules are treated in the same way under both.</summary>
    public bool JudgesAs(PolicySnapshot other) => Existing == other.Existing && IsComplete == other.IsComplete;

    /// <summary>The number of policies with a rule.</summary>
    public int Policies { get; } = Policy.AllRules.Select(rule => rule.Policy).Distinct().Count();

    /// <summary>Returns the rule for a connection; null if none selects it.</summary>
    public CompiledRule? Match(in SocketEndpoint local, in SocketEndpoint remote)
    {
        var (from, to) = (new Endpoint(local.Address, local.Port), new Endpoint(remote.Address, remote.Port));
        return Policy.Match(in from, in to);
    }
}
