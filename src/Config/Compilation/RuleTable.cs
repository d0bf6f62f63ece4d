using System.Numerics;
using System.Runtime.CompilerServices;

namespace Keepalive.Config.Compilation;

/// <summary>A hash table over (masked address, prefix length, port), probed once for each prefix length in use.</summary>
/// <remarks>A slot has 32 bits of the hash beside the rule, so that a lookup touches other rules hardly ever.</remarks>
internal sealed class RuleTable
{
    /// <summary>Slots of a segment, as a power of two: a changed table copies few of them, and all are small objects for the garbage collector.</summary>
    private const int SegmentBits = 7;

    private readonly Segment[] _segments;
    private readonly int _mask;

    // The segments that another table has, too, and that are copied before they are written; null for none.
    private readonly bool[]? _isShared;

    // One bit for each port that some rule names: most sockets skip the exact-port round for the price of one load.
    private readonly ulong[] _exactPorts;
    private readonly PrefixLengths _exact4, _exact6, _any4, _any6;
    private bool _hasExact;
    private uint _last = uint.MaxValue;
    private int _count;

    /// <summary>Creates an empty table.</summary>
    /// <param name="capacity">The number of rules that it must have room for.</param>
    public RuleTable(int capacity)
    {
        var size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(1 << SegmentBits, capacity + (capacity / 2)));
        _segments = new Segment[size >> SegmentBits];
        for (var i = 0; i < _segments.Length; i++)
        {
            _segments[i] = new Segment();
        }

        _mask = size - 1;
        _exactPorts = new ulong[1024];
        (_exact4, _exact6, _any4, _any6) = (new(32), new(128), new(32), new(128));
    }

    private RuleTable(RuleTable other)
    {
        (_segments, _mask, _count) = ([.. other._segments], other._mask, other._count);
        _isShared = new bool[_segments.Length];
        Array.Fill(_isShared, true);
        (_exactPorts, _hasExact) = ([.. other._exactPorts], other._hasExact);
        (_exact4, _exact6, _any4, _any6) = (new(other._exact4), new(other._exact6), new(other._any4), new(other._any6));
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
        while (Slots(i).Rule is not null)
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
        for (; Slots(i).Rule is { } other; i = (i + 1) & _mask)
        {
            if (Slots(i).Tag == (uint)hash && other.Lower == rule.Lower && other.Upper == rule.Upper && other.Key == rule.Key)
            {
                known = Slots(i).Number;
                return other;
            }
        }

        Put(i, hash, rule, number);
        known = number;
        return null;
    }

    /// <summary>Puts a rule in the place of another for the same prefix and port.</summary>
    public void Replace(CompiledRule rule, CompiledRule by) => Own(SlotOf(rule)).Rule = by;

    /// <summary>Whether so many more rules make the ways to an empty slot long.</summary>
    public bool IsTooSmallFor(int more) => _count + (long)more > (_mask + 1L) / 4 * 3;

    /// <summary>The same rules, to be changed without this one.</summary>
    public RuleTable Copy() => new(this);

    /// <summary>The rule that is there for the prefix and port of another, with its number; null if there is none.</summary>
    public (CompiledRule? Rule, int Number) At(CompiledRule rule) => Slots(SlotOf(rule)) is var slot ? (slot.Rule, slot.Number) : default;

    /// <summary>Puts a rule and a number where a rule for the same prefix and port is.</summary>
    public void Set(CompiledRule rule, int number)
    {
        ref var slot = ref Own(SlotOf(rule));
        (slot.Rule, slot.Number) = (rule, number);
    }

    /// <summary>Replaces all numbers by others.</summary>
    /// <param name="numbers">The other of each number.</param>
    public void Renumber(ReadOnlySpan<int> numbers)
    {
        foreach (var segment in _segments)
        {
            foreach (ref var slot in segment.Slots)
            {
                slot.Number = slot.Rule is null ? 0 : numbers[slot.Number];
            }
        }
    }

    /// <summary>Removes what is there for the prefix and port of a rule. The lengths and ports that are looked for stay.</summary>
    public void Remove(CompiledRule rule)
    {
        var hole = SlotOf(rule);
        // Those behind it that were put there because it was taken move up.
        for (var i = (hole + 1) & _mask; Slots(i).Rule is { } other; i = (i + 1) & _mask)
        {
            var way = (i - (int)(Hash(other.Upper, other.Lower, other.Key) >> 33)) & _mask;
            if (way >= ((i - hole) & _mask))
            {
                Own(hole) = Slots(i);
                hole = i;
            }
        }

        Own(hole) = default;
        _count--;
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
            for (var i = (int)(hash >> 33) & _mask; ; i = (i + 1) & _mask)
            {
                ref readonly var slot = ref Slots(i);
                if (slot.Rule is not { } rule)
                {
                    break;
                }

                if (slot.Tag == (uint)hash && rule.Lower == maskedLower && rule.Upper == maskedUpper && rule.Key == key
                    && (except is null || rule.Policy != except))
                {
                    return rule;
                }
            }
        }

        return null;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ref readonly Slot Slots(int i) => ref _segments[i >> SegmentBits].Slots[i & ((1 << SegmentBits) - 1)];

    /// <summary>A slot to be written.</summary>
    private ref Slot Own(int i)
    {
        if (_isShared is not null && _isShared[i >> SegmentBits])
        {
            _segments[i >> SegmentBits] = _segments[i >> SegmentBits].Copy();
            _isShared[i >> SegmentBits] = false;
        }

        return ref _segments[i >> SegmentBits].Slots[i & ((1 << SegmentBits) - 1)];
    }

    /// <summary>Where a rule for the prefix and port of another is, or would be.</summary>
    private int SlotOf(CompiledRule rule)
    {
        var hash = Hash(rule.Upper, rule.Lower, rule.Key);
        var i = (int)(hash >> 33) & _mask;
        while (Slots(i).Rule is { } other && !(Slots(i).Tag == (uint)hash && other.Lower == rule.Lower && other.Upper == rule.Upper && other.Key == rule.Key))
        {
            i = (i + 1) & _mask;
        }

        return i;
    }

    private void Put(int slot, ulong hash, CompiledRule rule, int number = -1)
    {
        _count++;
        Own(slot) = new Slot { Tag = (uint)hash, Number = number, Rule = rule };
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

    /// <summary>Slots that follow each other.</summary>
    /// <remarks>No array: the length of one lies in a cache line of its own, which every lookup would read to check an index.</remarks>
    private sealed class Segment
    {
        public SegmentSlots Slots;

        public Segment Copy() => (Segment)MemberwiseClone();
    }

    [InlineArray(1 << SegmentBits)]
    private struct SegmentSlots
    {
        private Slot _first;
    }

    /// <summary>The prefix lengths of some rules, the longest first.</summary>
    private sealed class PrefixLengths
    {
        private readonly bool[] _isUsed;

        public PrefixLengths(int longest) => _isUsed = new bool[longest + 1];

        public PrefixLengths(PrefixLengths other) => (_isUsed, All) = ([.. other._isUsed], other.All);

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
