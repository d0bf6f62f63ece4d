using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The state of a tracked socket: its rule, its values, its memory, its outcome, and the pass that tries again.</summary>
internal struct SocketStanding
{
    /// <summary>The most passes between two tries.</summary>
    private const int MaxPassesApart = 12;

    /// <summary>The number of tries in consecutive passes while the agent waits for the far end or the application. Later tries are less
    /// frequent.</summary>
    private const int PatientAttempts = 6;

    private Shared<SocketMemory>? _memory;
    private Shared<Facts>? _facts;
    private Shared<Replacement>? _replacement;
    private int _nextTry;
    private byte _attempts;
    private Flags _flags = Flags.HasNews | Flags.IsUnsettled;

    public SocketStanding()
    {
    }

    public CompiledRule? Rule { readonly get; private set; }

    /// <summary>Whether it has no rule only because the policy is not complete yet: values set on it stay.</summary>
    public bool IsUndecided
    {
        readonly get => (_flags & Flags.IsUndecided) != 0;
        private set => Set(Flags.IsUndecided, value);
    }

    public readonly SocketMemory? Memory => _memory?.Value;

    public SocketOutcome Outcome { readonly get; private set; } = SocketOutcome.Pending;

    public string? Reason { readonly get; private set; }

    /// <summary>The values read or written last; null before the first reading.</summary>
    public readonly KeepaliveOptions? Current => _facts?.Value.Current;

    /// <summary>The values that <see cref="Current"/> has replaced since the last record, or would replace in a dry run.</summary>
    public readonly KeepaliveOptions? Replaced => _replacement?.Value.Values;

    public readonly OwnValues Own => _facts?.Value.Own ?? OwnValues.None;

    /// <summary>TCP_USER_TIMEOUT in milliseconds; null before the first reading, or if the kernel does not show it.</summary>
    public readonly int? UserTimeout => _facts?.Value.UserTimeout;

    /// <summary>The user timeout that <see cref="UserTimeout"/> has replaced since the last record, or would replace in a dry run.</summary>
    public readonly int? ReplacedUserTimeout => _replacement?.Value.UserTimeout;

    /// <summary>Whether no record had this user timeout with these values.</summary>
    public readonly bool HasNewUserTimeout => UserTimeout != _facts?.Value.ToldUserTimeout || _replacement is not null;

    /// <summary>Whether its record differs from the last one.</summary>
    public bool HasNews
    {
        readonly get => (_flags & Flags.HasNews) != 0;
        private set => Set(Flags.HasNews, value);
    }

    /// <summary>Whether the policy still has to be applied: a pass tries again.</summary>
    public bool IsUnsettled
    {
        readonly get => (_flags & Flags.IsUnsettled) != 0;
        private set => Set(Flags.IsUnsettled, value);
    }

    /// <summary>The first pass that tries again.</summary>
    public long NextTry
    {
        readonly get => _nextTry;
        private set => _nextTry = (int)value;
    }

    /// <summary>Whether no pass has decided about it so far: it is found for the first time, or was still connecting when it was
    /// found.</summary>
    public readonly bool IsNew => _memory is null && (Current is null || Outcome == SocketOutcome.Pending);

    /// <summary>Whether exactly one try has failed.</summary>
    public readonly bool HasFailedOnce => _attempts == 1;

    /// <summary>Whether to wait longer for something that is expected soon.</summary>
    public readonly bool IsPatient => _attempts < PatientAttempts;

    /// <summary>Whether it has no state that is still needed.</summary>
    public readonly bool IsIdle => Rule is null && _memory is null && !IsUnsettled && _replacement is null;

    /// <summary>Sets the rule that selects it; null if none does.</summary>
    /// <remarks>A missing rule counts as undecided only if the policy is incomplete. It must also be the first match of the socket, or
    /// the socket was undecided before, or the policy decides nothing. Otherwise the socket has lost its rule by facts that are
    /// known.</remarks>
    public void Select(CompiledRule? rule, PolicySnapshot policy)
    {
        // An agent may have set it by another rule, which is not known yet: its values are not replaced by those of the fallback.
        var isNone = rule is null || (rule.IsFallback && Memory is { Holder: SocketHolder.Agent });
        IsUndecided = isNone && !policy.IsComplete && (IsUndecided || (_flags & Flags.WasMatched) == 0 || !policy.IsDecided);
        var selected = IsUndecided ? null : rule;
        HasNews |= !ReferenceEquals(selected, Rule);
        Rule = selected;
        Set(Flags.WasMatched, true);
    }

    /// <summary>Whether another rule demands the same as its present one.</summary>
    public readonly bool IsSameBy(CompiledRule? rule) =>
        ReferenceEquals(Rule, rule) || (Rule is not null && rule is not null && Rule.Settings == rule.Settings && Rule.Existing == rule.Existing
            && Rule.UserTimeout == rule.UserTimeout);

    /// <summary>Has it judged again in this pass.</summary>
    public void Unsettle() => (IsUnsettled, NextTry) = (true, 0);

    /// <summary>Has it judged again in a later pass.</summary>
    public void UnsettleIn(long pass) => (IsUnsettled, NextTry) = (true, pass);

    /// <summary>Keeps it unsettled; <see cref="PutOff"/> decides when it is tried again.</summary>
    public void StayUnsettled() => IsUnsettled = true;

    /// <summary>Sets the next try of an unsettled socket. If it only waits for the far end or the application, this is the next pass.
    /// Otherwise the tries become less and less frequent.</summary>
    /// <param name="pass">The number of this pass.</param>
    public void PutOff(long pass)
    {
        if (NextTry <= pass)
        {
            var soon = Outcome is SocketOutcome.Deferred || (Outcome is SocketOutcome.Pending && _attempts < PatientAttempts);
            NextTry = pass + (soon ? 1 : Math.Min(MaxPassesApart, 1 << Math.Min((int)_attempts, 10)));
            _attempts = (byte)Math.Min(_attempts + 1, (int)byte.MaxValue);
        }
    }

    /// <summary>Stores its values.</summary>
    public void Read(KeepaliveOptions current) => Store(KnownFacts with { Current = current });

    /// <summary>Stores the other facts of a reading.</summary>
    public void Read(OwnValues own, int? userTimeout) => Store(KnownFacts with { Own = own, UserTimeout = userTimeout });

    /// <summary>Stores its values after a write.</summary>
    public void Wrote(KeepaliveOptions before, KeepaliveOptions now, int? userTimeout)
    {
        var known = KnownFacts;
        if (now != before || userTimeout != known.UserTimeout)
        {
            Replace(before, userTimeout, in known);
        }
        Store(known with { Current = now, UserTimeout = userTimeout });
    }

    /// <summary>Stores the values that a dry run would write.</summary>
    public void WouldWrite(KeepaliveOptions before, KeepaliveOptions want, int? userTimeout)
    {
        var known = KnownFacts;
        Replace(before, userTimeout, in known);
        Store(known with { Current = want, UserTimeout = userTimeout });
    }

    public void Remember(SocketMemory? memory)
    {
        if (memory != Memory)
        {
            _memory = Shared<SocketMemory>.Of(memory);
            HasNews = true;
        }
    }

    /// <summary>Marks it as settled.</summary>
    public void Settle(SocketOutcome outcome, string? reason = null)
    {
        Conclude(outcome, reason);
        (IsUnsettled, _attempts) = (false, 0);
    }

    /// <summary>Notes that the policy could not be applied.</summary>
    public void Miss(SocketOutcome outcome, string? reason)
    {
        Conclude(outcome, reason);
        IsUnsettled = true;
    }

    /// <summary>Resets the number of tries.</summary>
    public void ForgetTries() => _attempts = 0;

    /// <summary>Notes that its changes were reported: each is reported once. A dry run is not the last one to report a user
    /// timeout.</summary>
    public void Told(bool isDryRun = false)
    {
        if (_replacement is not null || isDryRun || HasNewUserTimeout)
        {
            var known = KnownFacts;
            Store(known with { ToldUserTimeout = isDryRun ? null : known.UserTimeout });
            _replacement = null;
        }
        HasNews = Outcome == SocketOutcome.Restored;
        if (Outcome == SocketOutcome.Restored)
        {
            Outcome = SocketOutcome.Unmanaged;
        }
    }

    private void Set(Flags flag, bool isTrue) => _flags = isTrue ? _flags | flag : _flags & ~flag;

    private void Conclude(SocketOutcome outcome, string? reason)
    {
        HasNews |= outcome != Outcome || reason != Reason;
        (Outcome, Reason) = (outcome, reason);
    }

    private void Replace(KeepaliveOptions before, int? userTimeout, in Facts known)
    {
        _replacement = Shared<Replacement>.Of(new Replacement(before, userTimeout != known.UserTimeout ? known.UserTimeout : null));
        HasNews = true;
    }

    private readonly Facts KnownFacts => _facts?.Value ?? default;

    private void Store(in Facts facts)
    {
        if (facts != KnownFacts)
        {
            _facts = Shared<Facts>.Of(facts);
            HasNews = true;
        }
    }

    // Each tracked socket has these, so they are bits.
    [Flags]
    private enum Flags : byte
    {
        WasMatched = 1,
        IsUndecided = 2,
        HasNews = 4,
        IsUnsettled = 8,
    }

    /// <summary>Its values as last read or written, and the user timeout that was last reported.</summary>
    private readonly record struct Facts(KeepaliveOptions? Current, OwnValues Own, int? UserTimeout, int? ToldUserTimeout);

    /// <summary>The values that a write has replaced, or would replace.</summary>
    private readonly record struct Replacement(KeepaliveOptions Values, int? UserTimeout);
}
