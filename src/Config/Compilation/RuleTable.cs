using System.Collections.Immutable;
using System.Numerics;

namespace Keepalive.Config.Compilation;

/// <summary>A hash table over (masked address, prefix length, port), probed once for each prefix length in use.</summary>
internal sealed class RuleTable
{
    private readonly Slot[] _slots;
    private readonly int _mask;

    // One bit for each port that some rule names: most sockets skip the exact-port round for the price of one load.
    private readonly ulong[] _exactPorts;
    private readonly byte[] _exactLengths4, _exactLengths6, _anyLengths4, _anyLengths6;

    public RuleTable(ImmutableArray<CompiledRule> rules)
    {
        var size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(4, rules.Length * 2));
        _slots = new Slot[size];
        _mask = size - 1;
        _exactPorts = rules.Any(static rule => rule.Port != 0) ? new ulong[1024] : [];
        foreach (var rule in rules)
        {
            Add(rule);
        }

        _exactLengths4 = Lengths(rules, exact: true, isIPv4: true);
        _exactLengths6 = Lengths(rules, exact: true, isIPv4: false);
        _anyLengths4 = Lengths(rules, exact: false, isIPv4: true);
        _anyLengths6 = Lengths(rules, exact: false, isIPv4: false);
    }

    public CompiledRule? Find(in Endpoint endpoint)
    {
        var address = endpoint.Address;
        var port = endpoint.Port;
        var isIPv4 = Endpoint.IsMapped(address);
        if (port != 0 && _exactPorts.Length != 0 && (_exactPorts[port >> 6] & (1UL << (port & 63))) != 0
            && Find(address, port, isIPv4 ? _exactLengths4 : _exactLengths6, isIPv4) is { } exact)
        {
            return exact.IsExemption ? Find(address, 0, isIPv4 ? _anyLengths4 : _anyLengths6, isIPv4, except: exact.Policy) : exact;
        }

        return Find(address, 0, isIPv4 ? _anyLengths4 : _anyLengths6, isIPv4);
    }

    private CompiledRule? Find(UInt128 address, ushort port, byte[] lengths, bool isIPv4, string? except = null)
    {
        var upper = (ulong)(address >> 64);
        var lower = (ulong)address;
        foreach (var length in lengths)
        {
            var (maskedUpper, maskedLower) = isIPv4
                ? (0, lower & (ulong.MaxValue << (32 - length)))
                : (length > 64 ? upper : MaskUpper(upper, length), length > 64 ? lower & (ulong.MaxValue << (128 - length)) : 0);
            var key = Key(port, length, isIPv4);
            for (var i = Hash(maskedUpper, maskedLower, key) & _mask; _slots[i].Rule is { } rule; i = (i + 1) & _mask)
            {
                if (_slots[i].Lower == maskedLower && _slots[i].Upper == maskedUpper && _slots[i].Key == key
                    && (except is null || rule.Policy != except))
                {
                    return rule;
                }
            }
        }

        return null;
    }

    private void Add(CompiledRule rule)
    {
        var upper = (ulong)(rule.Prefix.Address >> 64);
        var lower = (ulong)rule.Prefix.Address;
        var key = Key(rule.Port, rule.Prefix.Length, rule.Prefix.IsIPv4);
        var i = Hash(upper, lower, key) & _mask;
        while (_slots[i].Rule is not null)
        {
            i = (i + 1) & _mask;
        }

        _slots[i] = new Slot { Upper = upper, Lower = lower, Key = key, Rule = rule };
        if (rule.Port != 0)
        {
            _exactPorts[rule.Port >> 6] |= 1UL << (rule.Port & 63);
        }
    }

    // A shift count is taken modulo 64, so a length of 0 needs its own answer.
    private static ulong MaskUpper(ulong upper, int length) => length == 0 ? 0 : upper & (ulong.MaxValue << (64 - length));

    private static uint Key(ushort port, int length, bool isIPv4) => ((uint)port << 16) | ((uint)length << 1) | (isIPv4 ? 1u : 0u);

    private static int Hash(ulong upper, ulong lower, uint key)
    {
        var hash = (lower ^ BitOperations.RotateLeft(upper, 29)) * 0x9E3779B97F4A7C15;
        hash = (hash ^ (hash >> 32) ^ key) * 0xD6E8FEB86659FD93;
        return (int)(hash >> 33);
    }

    private static byte[] Lengths(ImmutableArray<CompiledRule> rules, bool exact, bool isIPv4) =>
    [
        .. rules.Where(rule => rule.Port != 0 == exact && rule.Prefix.IsIPv4 == isIPv4)
            .Select(static rule => (byte)rule.Prefix.Length).Distinct().OrderDescending(),
    ];

    private struct Slot
    {
        public ulong Upper;
        public ulong Lower;
        public uint Key;
        public CompiledRule? Rule;
    }
}
