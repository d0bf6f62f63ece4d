using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Classify;

/// <summary>Holds findings back, in their order, until it is known whether a probe is answered, but not for long.</summary>
internal sealed class FindingQueue
{
    /// <summary>A probe waits for its answer at most so long, in nanoseconds of the capture's own time.</summary>
    public const long MaxWait = 5_000_000_000;

    /// <summary>And with at most so many findings behind it.</summary>
    public const int Limit = 65_536;

    private Finding[] _ring = new Finding[64];
    private int _first;
    private int _count;

    /// <summary>Probes that were let go of and repeat the packets of others, and such replies.</summary>
    public long CopiedProbes { get; private set; }

    public long CopiedReplies { get; private set; }

    /// <summary>Room for one more, to be filled in place: it has what the one before it there had.</summary>
    public ref Finding Add()
    {
        if (_count == _ring.Length)
        {
            Grow();
        }
        return ref _ring[(_first + _count++) & (_ring.Length - 1)];
    }

    /// <summary>Notes that a probe that may still be here was recognised as such, and what answers it.</summary>
    /// <param name="frame">Its packet's number.</param>
    /// <param name="kind">The kind of a settled candidate.</param>
    /// <param name="isPresumed">Whether only its repetition says so.</param>
    /// <param name="answeredBy">The answer's; 0 where there is none yet.</param>
    /// <param name="roundTrip">From one to the other.</param>
    /// <returns>Whether it is not presumed any more.</returns>
    public bool Note(long frame, SegmentKind kind, bool isPresumed, long answeredBy, long roundTrip)
    {
        var (low, high) = (0, _count - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            ref var finding = ref _ring[(_first + middle) & (_ring.Length - 1)];
            if (finding.Frame == frame)
            {
                var wasPresumed = finding.IsPresumed;
                finding.Kind = finding.Kind == SegmentKind.Candidate ? kind : finding.Kind;
                finding.IsPresumed = isPresumed;
                (finding.AnsweredBy, finding.RoundTrip) = answeredBy != 0 ? (answeredBy, roundTrip) : (finding.AnsweredBy, finding.RoundTrip);
                return wasPresumed && !isPresumed;
            }
            (low, high) = finding.Frame < frame ? (middle + 1, high) : (low, middle - 1);
        }
        return false;
    }

    /// <summary>Lets go of the findings that need not wait any longer; candidates that nothing confirmed are left out.</summary>
    /// <param name="now">The capture's time, <see cref="CapturedPacket.NoTime"/> where it is not known; <see cref="long.MaxValue"/> at its end.</param>
    /// <param name="sink">Told of them, in their order.</param>
    public void Release(long now, IFindingSink sink)
    {
        while (_count > 0)
        {
            ref var head = ref _ring[_first];
            var isTimed = now != CapturedPacket.NoTime && head.Time != CapturedPacket.NoTime;
            if (!head.IsSettled && _count <= Limit && now != long.MaxValue && !(isTimed && now - head.Time >= MaxWait))
            {
                return;
            }
            if (head.Kind != SegmentKind.Candidate)
            {
                if (head.CopyOf != 0)
                {
                    CopiedProbes += head.Kind == SegmentKind.Probe ? 1 : 0;
                    CopiedReplies += head.Kind == SegmentKind.Reply ? 1 : 0;
                }
                sink.Found(in head);
            }
            _first = (_first + 1) & (_ring.Length - 1);
            _count--;
        }
    }

    private void Grow()
    {
        var larger = new Finding[_ring.Length * 2];
        for (var i = 0; i < _count; i++)
        {
            larger[i] = _ring[(_first + i) & (_ring.Length - 1)];
        }
        (_ring, _first) = (larger, 0);
    }
}
