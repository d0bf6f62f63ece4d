using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Port numbers in the order in which they were added, each once; 0 is any port.</summary>
/// <param name="room">Where they are, while they fit.</param>
internal ref struct PortNumbers(Span<ushort> room)
{
    /// <summary>Room that hardly any destination needs more of.</summary>
    public const int Usual = 64;

    private Span<ushort> _room = room;
    private int _count;

    public readonly ReadOnlySpan<ushort> All => _room[.._count];

    public void Add(ushort number)
    {
        if (_room[.._count].Contains(number))
        {
            return;
        }

        if (_count == _room.Length)
        {
            var larger = new ushort[Math.Max(Usual, 2 * _count)];
            _room.CopyTo(larger);
            _room = larger;
        }

        _room[_count++] = number;
    }

    /// <summary>Adds the numbers that clients ask for.</summary>
    public void Add(IReadOnlyCollection<DestinationPort?> ports)
    {
        foreach (var port in ports)
        {
            Add((ushort)(port?.Number.Value ?? 0));
        }
    }
}
