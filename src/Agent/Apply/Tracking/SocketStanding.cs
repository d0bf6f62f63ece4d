using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Where a socket stands: the rule that selects it, the values it has, what is remembered of it, and when it is tried again.</summary>
internal struct SocketStanding
{
    /// <summary>Passes between two tries, at most.</summary>
    private const int MostPassesApart = 12;

    /// <summary>Passes in which the far end or the application is waited for, before the tries become rare.</summary>
    private const int PatientAttempts = 6;

    private bool _wasMatched;
    private int _attempts;

    public SocketStanding()
    {
    }

    public CompiledRule? Rule { readonly get; private set; }

    /// <summary>Whether it has no rule because not everything is known that rules are made of: what was set on it stays.</summary>
    public bool IsUndecided { readonly get; private set; }

    public SocketMemory? Memory { readonly get; private set; }

    public SocketOutcome Outcome { readonly get; private set; } = SocketOutcome.Pending;

    public string? Reason { readonly get; private set; }

    /// <summary>The values read or written last; null before the first reading.</summary>
    public KeepaliveOptions? Current { readonly get; private set; }

    /// <summary>What <see cref="Current"/> has replaced (or, in a dry run, would) since the last record.</summary>
    public KeepaliveOptions? Replaced { readonly get; private set; }

    public OwnValues Own { readonly get; private set; }

    public int UserTimeout { readonly get; private set; }

    /// <summary>Whether the policy has not been brought to bear yet: a pass tries again.</summary>
    public bool IsUnsettled { readonly get; private set; } = true;

    /// <summary>The first pass that tries again.</summary>
    public long NextTry { readonly get; private set; }

    /// <summary>Whether no pass has decided about it so far: it was not met before, or only while it was connecting.</summary>
    public readonly bool IsNew => Memory is null && (Current is null || Outcome == SocketOutcome.Pending);

    /// <summary>Whether it has been tried once in vain.</summary>
    public readonly bool HasFailedOnce => _attempts == 1;

    /// <summary>Whether nothing is known of it that anybody needs.</summary>
    public readonly bool IsIdle => Rule is null && Memory is null && !IsUnsettled && Replaced is null;

    /// <summary>Takes in which rule of a policy selects it.</summary>
    /// <remarks>One that loses a rule was selected by what is known: only of one that never had any here, or where nothing is known any more,
    /// is that undecided.</remarks>
    public void Select(CompiledRule? rule, PolicySnapshot policy)
    {
        IsUndecided = rule is null && !policy.IsComplete && (IsUndecided || !_wasMatched || !policy.IsDecided);
        (Rule, _wasMatched) = (rule, true);
    }

    /// <summary>Whether another rule asks the same of it as the one it has.</summary>
    public readonly bool IsSameBy(CompiledRule? rule) =>
        ReferenceEquals(Rule, rule) || (Rule is not null && rule is not null && Rule.Settings == rule.Settings && Rule.Existing == rule.Existing);

    /// <summary>It is to be judged anew, in this pass.</summary>
    public void Unsettle() => (IsUnsettled, NextTry) = (true, 0);

    /// <summary>It is to be judged anew, not before some pass.</summary>
    public void UnsettleIn(long pass) => (IsUnsettled, NextTry) = (true, pass);

    /// <summary>It was not brought into line: <see cref="PutOff"/> says when it is tried again.</summary>
    public void StayUnsettled() => IsUnsettled = true;

    /// <summary>When it is tried again, being unsettled: at the next pass where only the far end or the application is waited for, else less and less
    /// often.</summary>
    /// <param name="pass">The number of this pass.</param>
    public void PutOff(long pass)
    {
        if (NextTry <= pass)
        {
            var soon = Outcome is SocketOutcome.Deferred || (Outcome is SocketOutcome.Pending && _attempts < PatientAttempts);
            NextTry = pass + (soon ? 1 : Math.Min(MostPassesApart, 1 << Math.Min(_attempts, 10)));
            _attempts++;
        }
    }

    /// <summary>Takes in what it has.</summary>
    public void Read(KeepaliveOptions current) => Current = current;

    /// <summary>Takes in what else a reading says of it.</summary>
    public void Read(OwnValues own, int userTimeout) => (Own, UserTimeout) = (own, userTimeout);

    /// <summary>Takes in what it has after a write.</summary>
    public void Wrote(KeepaliveOptions before, KeepaliveOptions now)
    {
        Current = now;
        if (now != before)
        {
            Replaced = before;
        }
    }

    /// <summary>Takes in what a dry run would write.</summary>
    public void WouldWrite(KeepaliveOptions before, KeepaliveOptions want) => (Current, Replaced) = (want, before);

    public void Remember(SocketMemory? memory) => Memory = memory;

    /// <summary>It is as it is to be.</summary>
    public void Settle(SocketOutcome outcome) => (Outcome, Reason, IsUnsettled, _attempts) = (outcome, null, false, 0);

    /// <summary>It could not be brought into line.</summary>
    public void Miss(SocketOutcome outcome, string? reason) => (Outcome, Reason, IsUnsettled) = (outcome, reason, true);

    /// <summary>What was tried until now counts for nothing.</summary>
    public void ForgetTries() => _attempts = 0;

    /// <summary>What a pass did to it has been told, which is done once.</summary>
    public void Told()
    {
        Replaced = null;
        if (Outcome == SocketOutcome.Restored)
        {
            Outcome = SocketOutcome.Unmanaged;
        }
    }
}
