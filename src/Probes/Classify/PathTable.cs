using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Classify;

/// <summary>Numbers for the VLANs and tunnels that packets are in, each way through them one number.</summary>
/// <remarks>Nothing is allocated for a way that is known.</remarks>
internal sealed class PathTable
{
    /// <summary>Neither VLAN nor tunnel.</summary>
    public const int None = 0;

    /// <summary>All ways beyond <see cref="Limit"/>.</summary>
    public const int Others = 1;

    /// <summary>The most that have a number of their own.</summary>
    public const int Limit = 16_384;

    private readonly List<Entry> _entries = [new([], None), new([], Others)];

    /// <summary>Null until there is one.</summary>
    private Dictionary<EncapsulationLayer[], int>? _numbers;
    private int _latest;
    private long[] _segments = new long[4];

    /// <summary>The number of these layers.</summary>
    public int NumberOf(ReadOnlySpan<EncapsulationLayer> layers)
    {
        if (layers.IsEmpty)
        {
            return None;
        }
        // Most packets came the same way as the one before, or as its answer.
        var latest = _entries[_latest];
        if (layers.SequenceEqual(latest.Layers))
        {
            return _latest;
        }
        if (layers.SequenceEqual(_entries[latest.Reversed].Layers))
        {
            return _latest = latest.Reversed;
        }
        _numbers ??= new Dictionary<EncapsulationLayer[], int>(new ByContent());
        return _latest = _numbers.GetAlternateLookup<ReadOnlySpan<EncapsulationLayer>>().TryGetValue(layers, out var number) ? number : Add(_numbers, layers);
    }

    /// <summary>The layers of a number, the outermost first; none for <see cref="Others"/>.</summary>
    public ReadOnlySpan<EncapsulationLayer> LayersOf(int number) => _entries[number].Layers;

    /// <summary>Whether two are the same, in whichever direction.</summary>
    public bool IsSameWay(int one, int other) => one == other || _entries[one].Reversed == other;

    /// <summary>Counts a segment that came this way.</summary>
    public void Count(int number)
    {
        if (number >= _segments.Length)
        {
            Array.Resize(ref _segments, Math.Max(number + 1, 2 * _segments.Length));
        }
        _segments[number]++;
    }

    /// <summary>The counted segments by what they were in; one that was in several counts for each. <see cref="EncapsulationKind.None"/> is the key of those
    /// that came by <see cref="Others"/>.</summary>
    public SortedDictionary<EncapsulationKind, long> SegmentsByKind()
    {
        var segments = new SortedDictionary<EncapsulationKind, long>();
        for (var number = None + 1; number < Math.Min(_entries.Count, _segments.Length); number++)
        {
            var kinds = number == Others ? [EncapsulationKind.None] : _entries[number].Layers.Select(static layer => layer.Kind).Distinct();
            foreach (var kind in _segments[number] > 0 ? kinds : [])
            {
                segments[kind] = segments.GetValueOrDefault(kind) + _segments[number];
            }
        }
        return segments;
    }

    private int Add(Dictionary<EncapsulationLayer[], int> numbers, ReadOnlySpan<EncapsulationLayer> layers)
    {
        if (_entries.Count > Limit)
        {
            return Others;
        }
        var forth = layers.ToArray();
        var back = Array.ConvertAll(forth, static layer => layer.Reversed);
        var number = _entries.Count;
        // VLANs and labels have no direction.
        var reversed = layers.SequenceEqual(back) ? number : number + 1;
        _entries.Add(new(forth, reversed));
        numbers.Add(forth, number);
        if (reversed != number)
        {
            _entries.Add(new(back, number));
            numbers.Add(back, reversed);
        }
        return number;
    }

    private readonly record struct Entry(EncapsulationLayer[] Layers, int Reversed);

    private sealed class ByContent : IEqualityComparer<EncapsulationLayer[]>, IAlternateEqualityComparer<ReadOnlySpan<EncapsulationLayer>, EncapsulationLayer[]>
    {
        public bool Equals(EncapsulationLayer[]? one, EncapsulationLayer[]? other) => one.AsSpan().SequenceEqual(other);

        public bool Equals(ReadOnlySpan<EncapsulationLayer> alternate, EncapsulationLayer[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(EncapsulationLayer[] layers) => GetHashCode(layers.AsSpan());

        // HashCode is seeded at random: a capture cannot be made so that all have one.
        public int GetHashCode(ReadOnlySpan<EncapsulationLayer> alternate)
        {
            var hash = new HashCode();
            foreach (ref readonly var layer in alternate)
            {
                hash.Add((int)layer.Kind);
                hash.Add(layer.Id);
                hash.Add(layer.Source);
                hash.Add(layer.Destination);
            }
            return hash.ToHashCode();
        }

        public EncapsulationLayer[] Create(ReadOnlySpan<EncapsulationLayer> alternate) => alternate.ToArray();
    }
}
