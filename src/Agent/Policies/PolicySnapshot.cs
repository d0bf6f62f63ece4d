using System.Collections.Immutable;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Resources;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Policies;

/// <summary>The policy in force: the compiled policy with the agent's own settings. Immutable, and always replaced as a whole.</summary>
/// <param name="Policy">The rules.</param>
/// <param name="Existing">The treatment of an application's own keepalive, if the policy does not set it.</param>
internal sealed record PolicySnapshot(CompiledPolicy Policy, ExistingMode Existing)
{
    private readonly Derived _derived = new();

    /// <summary>Whether all objects that policies depend on are known. If not, the rule of a socket may be unknown yet. The values that an
    /// earlier agent set on such a socket then stay.</summary>
    public bool IsComplete { get; init; } = true;

    /// <summary>Destinations that a policy selects and that have no address: a limited number of them, for explanations.</summary>
    public ImmutableArray<DestinationSummary> WithoutAddress { get; init; } = [];

    /// <summary>Whether there is a policy. Without one, sockets are not restored because they have no rule.</summary>
    public bool IsDecided { get; private init; } = true;

    public static PolicySnapshot Empty { get; } = new(CompiledPolicy.Empty, ExistingMode.Tighten);

    /// <summary>The policy that selects nothing and restores nothing.</summary>
    public static PolicySnapshot Undecided { get; } = Empty with { IsComplete = false, IsDecided = false };

    /// <summary>Whether sockets with equal rules are treated in the same way under both.</summary>
    public bool JudgesAs(PolicySnapshot other) => Existing == other.Existing && IsComplete == other.IsComplete;

    /// <summary>The number of policies with a rule. That pods may choose values is not one: no pod may have done so.</summary>
    public int Policies { get; } = Policy.Policies.Count - (Policy.AllowsOwn ? 1 : 0);

    /// <summary>Returns the policy for the connections of one workload.</summary>
    /// <param name="workload">The workload; null for one that is not of the cluster.</param>
    /// <returns>The same object for workloads that have the same rules; this one, if nothing is different for it.</returns>
    public PolicySnapshot For(ClientWorkload? workload)
    {
        if (workload is null || !Policy.DependsOnSource)
        {
            return this;
        }
        lock (_derived)
        {
            return _derived.Get(Policy.KeyOf(workload), this, policy => policy.For(workload));
        }
    }

    /// <summary>Returns the policy with all rules for certain workloads in force: it selects what any workload may have selected.</summary>
    public PolicySnapshot ForAny()
    {
        if (!Policy.DependsOnSource)
        {
            return this;
        }
        lock (_derived)
        {
            return _derived.Get("*", this, static policy => policy.ForAny());
        }
    }

    /// <summary>Returns the rule for a connection; null if none selects it.</summary>
    public CompiledRule? Match(in SocketEndpoint local, in SocketEndpoint remote)
    {
        var (from, to) = (new Endpoint(local.Address, local.Port), new Endpoint(remote.Address, remote.Port));
        return Policy.Match(in from, in to);
    }

    /// <summary>The policies for certain workloads that were asked for. It is no part of the snapshot's value.</summary>
    private sealed class Derived : IEquatable<Derived>
    {
        /// <summary>The limit of policies that are kept. There are as many as there are workloads on the node with rules of their own.</summary>
        private const int Most = 4096;

        private readonly Dictionary<string, PolicySnapshot> _byKey = [];
        private PolicySnapshot? _owner;

        public PolicySnapshot Get(string key, PolicySnapshot of, Func<CompiledPolicy, CompiledPolicy> derive)
        {
            if (key.Length == 0)
            {
                return of;
            }
            if (!ReferenceEquals(_owner, of) || _byKey.Count >= Most)
            {
                // A copy of a snapshot has the same object here.
                _byKey.Clear();
                _owner = of;
            }
            if (!_byKey.TryGetValue(key, out var found))
            {
                _byKey.Add(key, found = of with { Policy = derive(of.Policy) });
            }
            return found;
        }

        public bool Equals(Derived? other) => other is not null;

        public override bool Equals(object? obj) => obj is Derived;

        public override int GetHashCode() => 0;
    }
}
