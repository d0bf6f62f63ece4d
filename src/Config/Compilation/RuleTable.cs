using System.Numerics;

namespace Keepalive.Config.Compilation;

/// <summary>A hash table over (masked address, prefix length, port), probed once for each prefix length in use.</summary>
/// <remarks>A slot has 32 bits of the hash beside the rule, so that a lookup touches other rules hardly ever.</remarks>
internal sealed class RuleTable
{
    private readonly Slot[] _slots;
    private readonly int _mask;

    // One bit for each port that some rule names: most sockets skip the exact-port round for the price of one load.
    private readonly ulong[] _exactPorts = new ulong[1024];
    private readonly PrefixLengths _exact4 = new(32), _exact6 = new(128), _any4 = new(32), _any6 = new(128);
    private bool _hasExact;
    private uint _last = uint.MaxValue;

    /// <summary>Creates an empty table.</summary>
    /// <param name="capacity">The number of rules that it must have room for.</param>
    public RuleTable(int capacity)
    {
        var size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(4, capacity + (capacity / 2)));
        _slots = new Slot[size];
        _mask = size - 1;
    }

    public RuleTable(IReadOnlyCollection<CompiledRule> rules, IReadOnlyCollection<CompiledRule> exemptions)
        : this(rules.Count + exemptions.Count)
    {
        foreach (var rule in rules.Concat(exemptions))
        {
            Add(rule);
        }
    }

    /// <summary>Adds a rule, whatever else is there for its prefix and port.</summary>
    public void Add(CompiledRule rule)
    {
        var hash = Hash(rule.Upper, rule.Lower, rule.Key);
        var i = (int)(hash >> 33) & _mask;
        while (_slots[i].Rule is not null)
        {
            i = (i + 1) & _mask;
        }

        Put(i, hash, rule);
    }

    /// <summary>Adds a rule if there is none for its prefix and port.</summary>
    /// <returns>The rule that is there; null if this one was added.</returns>
    public CompiledRule? TryAdd(CompiledRule rule) => TryAdd(rule, -1, out _);

    /// <summary>The same with a number for the rule.</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="number">Its number.</param>
    /// <param name="known">The number of the rule that is there.</param>
    public CompiledRule? TryAdd(CompiledRule rule, int number, out int known)
    {
        var hash = Hash(rule.Upper, rule.Lower, rule.Key);
        var i = (int)(hash >> 33) & _mask;
        for (; _slots[i].Rule is { } other; i = (i + 1) & _mask)
        {
            if (_slots[i].Tag == (uint)hash && other.Lower == rule.Lower && other.Upper == rule.Upper && other.Key == rule.Key)
            {
                known = _slots[i].Number;
                return other;
            }
        }

        Put(i, hash, rule, number);
        known = number;
        return null;
    }

    /// <summary>Puts a rule in the place of another for the same prefix and port.</summary>
    public void Replace(CompiledRule rule, CompiledRule by)
    {
        var i = (int)(Hash(rule.Upper, rule.Lower, rule.Key) >> 33) & _mask;
        while (!ReferenceEquals(_slots[i].Rule, rule))
        {
            i = (i + 1) & _mask;
        }

        _slots[i].Rule = by;
    }

    public CompiledRule? Find(in Endpoint endpoint)
    {
        var address = endpoint.Address;
        var port = endpoint.Port;
        var isIPv4 = Endpoint.IsMapped(address);
        if (port != 0 && _hasExact && (_exactPorts[port >> 6] & (1UL << (port & 63))) != 0
            && Find(address, port, (isIPv4 ? _exact4 : _exact6).All, isIPv4) is { } exact)
        {
            return exact.IsExemption ? Find(address, 0, (isIPv4 ? _any4 : _any6).All, isIPv4, except: exact.Policy) : exact;
        }

        return Find(address, 0, (isIPv4 ? _any4 : _any6).All, isIPv4);
    }

    private CompiledRule? Find(UInt128 address, ushort port, byte[] lengths, bool isIPv4, string? except = null)
    {
        var upper = (ulong)(address >> 64);
        var lower = (ulong)address;
        foreach (var length in lengths)
        {
            // A rule has its prefix as IpPrefix has it: the mapped form's upper bits are part of it.
            var (maskedUpper, maskedLower) = isIPv4
                ? (0, lower & (ulong.MaxValue << (32 - length)))
                : (length > 64 ? upper : MaskUpper(upper, length), length > 64 ? lower & (ulong.MaxValue << (128 - length)) : 0);
            var key = Key(port, length, isIPv4);
            var hash = Hash(maskedUpper, maskedLower, key);
            for (var i = (int)(hash >> 33) & _mask; _slots[i].Rule is { } rule; i = (i + 1) & _mask)
            {
                if (_slots[i].Tag == (uint)hash && rule.Lower == maskedLower && rule.Upper == maskedUpper && rule.Key == key
                    && (except is null || rule.Policy != except))
                {
                    return rule;
                }
            }
        }

        return null;
    }

    private void Put(int slot, ulong hash, CompiledRule rule, int number = -1)
    {
        _slots[slot] = new Slot { Tag = (uint)hash, Number = number, Rule = rule };
        if (rule.Key == _last)
        {
            return;   // nothing new about ports and lengths
        }

        _last = rule.Key;
        var (port, prefix) = (rule.Port, rule.Prefix);
        if (port != 0)
        {
            _exactPorts[port >> 6] |= 1UL << (port & 63);
            _hasExact = true;
        }

        (port != 0 ? prefix.IsIPv4 ? _exact4 : _exact6 : prefix.IsIPv4 ? _any4 : _any6).Add(prefix.Length);
    }

    // A shift count is taken modulo 64, so a length of 0 needs its own answer.
    private static ulong MaskUpper(ulong upper, int length) => length == 0 ? 0 : upper & (ulong.MaxValue << (64 - length));

    private static uint Key(ushort port, int length, bool isIPv4) => ((uint)port << 16) | ((uint)length << 1) | (isIPv4 ? 1u : 0u);

    private static ulong Hash(ulong upper, ulong lower, uint key)
    {
        var hash = (lower ^ BitOperations.RotateLeft(upper, 29)) * 0x9E3779B97F4A7C15;
        return (hash ^ (hash >> 32) ^ key) * 0xD6E8FEB86659FD93;
    }

    private struct Slot
    {
        public uint Tag;
        public int Number;
        public CompiledRule? Rule;
    }

    /// <summary>The prefix lengths of some rules, the longest first.</summary>
    private sealed class PrefixLengths(int longest)
    {
        private readonly bool[] _isUsed = new bool[longest + 1];

        public byte[] All { get; private set; } = [];

        public void Add(int length)
        {
            if (!_isUsed[length])
            {
                _isUsed[length] = true;
                All = [.. All.Append((byte)length).OrderDescending()];
            }
        }
    }
}
