namespace Keepalive.Probes.Pages;

/// <summary>The packets of one connection in bounded memory: the first, the last, and in between those that show trouble.</summary>
/// <remarks>
/// <code>
///   first 64 ─ … trouble, up to 64 … other events, up to 32 … ─ last 128
/// </code>
/// </remarks>
internal sealed class PacketTrace
{
    private const int First = 64;
    private const int Last = 128;
    private const int Troubles = 64;
    private const int Events = 32;

    /// <summary>The most packets kept.</summary>
    public const int Limit = First + Last + Troubles + Events;

    private readonly List<ReportPacket> _kept = [];
    private ReportPacket[] _ring = [];
    private int _start;
    private int _inRing;
    private int _troubles;
    private int _events;

    /// <summary>All packets, those that were not kept among them.</summary>
    public long Count { get; private set; }

    /// <summary>Takes the next packet.</summary>
    public void Add(in ReportPacket packet)
    {
        Count++;
        if (_kept.Count < First && _inRing == 0)
        {
            _kept.Add(packet);
            return;
        }
        if (_inRing == Last)
        {
            KeepIfNotable(in _ring[_start]);
            _ring[_start] = packet;
            _start = (_start + 1) % Last;
            return;
        }
        if (_inRing == _ring.Length)
        {
            Array.Resize(ref _ring, Math.Min(Last, Math.Max(8, _ring.Length * 2)));
        }
        _ring[_inRing++] = packet;
    }

    /// <summary>Changes the kind of a packet that was recognised later. One that is not kept any more is skipped.</summary>
    public void Recognise(long frame, PacketKind kind)
    {
        // The latest are the most likely ones.
        for (var i = _inRing - 1; i >= 0; i--)
        {
            ref var packet = ref _ring[(_start + i) % _ring.Length];
            if (packet.Frame <= frame)
            {
                packet = packet.Frame == frame ? packet with { Kind = kind } : packet;
                return;
            }
        }
        for (var i = _kept.Count - 1; i >= 0; i--)
        {
            if (_kept[i].Frame <= frame)
            {
                _kept[i] = _kept[i].Frame == frame ? _kept[i] with { Kind = kind } : _kept[i];
                return;
            }
        }
    }

    /// <summary>The packets that were kept, in their order.</summary>
    public List<ReportPacket> ToList()
    {
        var packets = new List<ReportPacket>(_kept.Count + _inRing);
        packets.AddRange(_kept);
        for (var i = 0; i < _inRing; i++)
        {
            packets.Add(_ring[(_start + i) % _ring.Length]);
        }
        return packets;
    }

    private void KeepIfNotable(in ReportPacket packet)
    {
        var isTrouble = packet.Kind == PacketKind.Reset || packet.Fate != PacketFate.Passed;
        if (isTrouble ? _troubles < Troubles : packet.Kind > PacketKind.Data && _events < Events)
        {
            _troubles += isTrouble ? 1 : 0;
            _events += isTrouble ? 0 : 1;
            _kept.Add(packet);
        }
    }
}
