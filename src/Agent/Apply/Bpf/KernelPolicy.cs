using System.Buffers.Binary;
using Keepalive.Agent.Policies;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>The policy in the kernel: a map of prefixes. A new map is built first, and then replaces the old one as a whole.</summary>
internal sealed class KernelPolicy : IDisposable
{
    private const int FamilyAndPort = 32;
    private const int MappedBits = 96;

    private readonly BpfMap _slot;
    private readonly int _maxRules;
    private readonly BpfMap _nothing;
    private BpfMap? _rules;
    private (PolicySnapshot Policy, BpfMap Rules)? _prepared;

    /// <param name="slot">The map in which the programs find the policy in force.</param>
    /// <param name="maxRules">The limit of rules of a policy; the kernel refuses more.</param>
    /// <exception cref="LinuxException">There is no memory.</exception>
    public KernelPolicy(BpfMap slot, int maxRules = int.MaxValue)
    {
        _slot = slot;
        _maxRules = maxRules;
        _nothing = Build(PolicySnapshot.Empty);
    }

    /// <summary>The policy in force in the kernel.</summary>
    public PolicySnapshot Current { get; private set; } = PolicySnapshot.Empty;

    /// <summary>Builds the map of a policy without putting it in force.</summary>
    /// <exception cref="LinuxException">It does not fit into memory.</exception>
    public void Prepare(PolicySnapshot policy)
    {
        _prepared?.Rules.Dispose();
        _prepared = null;
        _prepared = (policy, Build(policy));
    }

    /// <summary>Replaces the policy. When this returns, no program uses the earlier one any more.</summary>
    /// <exception cref="LinuxException">The new policy does not fit into memory; the earlier one is still in force.</exception>
    public void Replace(PolicySnapshot policy)
    {
        if (ReferenceEquals(policy, Current) && _rules is not null)
        {
            return;
        }
        if (!ReferenceEquals(_prepared?.Policy, policy))
        {
            Prepare(policy);
        }
        _slot.Update(0, _prepared!.Value.Rules);
        _rules?.Dispose();
        _rules = _prepared.Value.Rules;
        _prepared = null;
        Current = policy;
    }

    /// <summary>Puts an empty policy in force and frees the memory of the earlier one. There is always room for the empty one.</summary>
    public void Suspend()
    {
        _slot.Update(0, _nothing);
        _rules?.Dispose();
        _rules = null;
        Current = PolicySnapshot.Empty;
    }

    public void Dispose()
    {
        _prepared?.Rules.Dispose();
        _rules?.Dispose();
        _nothing.Dispose();
    }

    private BpfMap Build(PolicySnapshot policy)
    {
        var rules = BpfMap.CreatePrefixes<BpfAbi.ka_prefix, BpfAbi.ka_rule>("ka_rules", Math.Clamp(policy.Policy.Rules.Length + policy.Policy.Exemptions.Length, 1, _maxRules));
        try
        {
            for (var i = 0; i < policy.Policy.Rules.Length; i++)
            {
                var rule = policy.Policy.Rules[i];
                rules.Update(Prefix(rule.Prefix, rule.Port), Rule(i, rule, policy.Existing));
            }
            foreach (var exemption in policy.Policy.Exemptions)
            {
                // The program applies no rule with KA_KEEP at once. The pass leaves such a socket to its application.
                rules.Update(Prefix(exemption.Prefix, exemption.Port), new BpfAbi.ka_rule { rule = uint.MaxValue, existing = BpfAbi.KA_KEEP });
            }
            return rules;
        }
        catch
        {
            rules.Dispose();
            throw;
        }
    }

    private static BpfAbi.ka_prefix Prefix(IpPrefix prefix, ushort port)
    {
        var key = new BpfAbi.ka_prefix
        {
            length = (uint)(FamilyAndPort + (prefix.IsIPv4 ? MappedBits : 0) + prefix.Length),
            family = (byte)(prefix.IsIPv4 ? 4 : 6),
            port = port,
        };
        BinaryPrimitives.WriteUInt128BigEndian(key.address, prefix.Address);
        return key;
    }

    private static BpfAbi.ka_rule Rule(int index, CompiledRule rule, ExistingMode agentDefault) => new()
    {
        rule = (uint)index,
        time = (ushort)(rule.Settings.Time ?? 0),
        interval = (ushort)(rule.Settings.Interval ?? 0),
        probes = (byte)(rule.Settings.Probes ?? 0),
        existing = (rule.Existing ?? agentDefault) switch
        {
            ExistingMode.Keep => BpfAbi.KA_KEEP,
            ExistingMode.Replace => BpfAbi.KA_REPLACE,
            _ => BpfAbi.KA_TIGHTEN,
        },
        user_timeout = rule.UserTimeout.Mode switch
        {
            UserTimeoutMode.Keep => BpfAbi.KA_TIMEOUT_KEPT,
            UserTimeoutMode.Skip => BpfAbi.KA_TIMEOUT_SKIPS,
            _ => BpfAbi.KA_TIMEOUT_CHANGED,
        },
    };
}
