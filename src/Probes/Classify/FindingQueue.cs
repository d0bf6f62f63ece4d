using System.Runtime.CompilerServices;
using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Classify;

/// <summary>Holds findings back, in their order, until it is known whether a probe is answered and a candidate is a probe, but not for long.</summary>
/// <remarks>
/// <code>
///   ring     1 probe ─ 2 candidate ─ 3 reply ─ …       in the order of their packets; the first ones leave
///   late     a candidate that nothing showed           reported out of order when a later packet shows it, which may be hours later (TCP_KEEPINTVL)
/// </code>
/// Both are bounded: the ring by <see cref="Limit"/>, the others by the flows, as each direction has one candidate at a time.
/// </remarks>
/// <param name="flows">The flows that the findings are of.</param>
internal sealed class FindingQueue(FlowTable flows)
{
    /// <summary>A probe waits for its answer at most so long, in nanoseconds of the capture's own time.</summary>
    public const long MaxWait = 5_000_000_000;

    /// <summary>At most so many findings wait.</summary>
    public const int Limit = 65_535;

    private readonly Dictionary<int, Finding> _late = [];
    private Finding[] _ring = new Finding[64];
    private int _first;
    private int _count;

    // Whether the first one was found to wait for its answer, and since when: then nothing but time, its answer or too many behind it let it go.
    private bool _isHeld;
    private long _heldSince;

    /// <summary>The longest that a candidate holds others up, in nanoseconds of the capture's own time: they are reported without it then.</summary>
    public long CandidateWait { get; set; } = MaxWait;

    /// <summary>Probes that were let go of and repeat the packets of others, and such replies.</summary>
    public long CopiedProbes { get; private set; }

    public long CopiedReplies { get; private set; }

    /// <summary>Room for one more, to be filled in place: it has what the one before it there had.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref Finding Add()
    {
        if (_count == _ring.Length)
        {
            Grow();
        }
        var ring = _ring;
        return ref ring[(_first + _count++) & (ring.Length - 1)];
    }

    /// <summary>Notes that the one that was added last is a probe, which waits for its answer: it need not be looked at until something changes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Hold(long time)
    {
        if (_count == 1 && time != long.MaxValue)
        {
            (_isHeld, _heldSince) = (true, time);
        }
    }

    /// <summary>Notes that a probe that may still be here was recognised as such, and what answers it. A candidate that left is reported now.</summary>
    /// <param name="frame">Its packet's number.</param>
    /// <param name="flow">The place of its flow.</param>
    /// <param name="kind">The kind of a settled candidate.</param>
    /// <param name="isPresumed">Whether only its repetition says so.</param>
    /// <param name="answeredBy">The answer's; 0 where there is none yet.</param>
    /// <param name="roundTrip">From one to the other.</param>
    /// <param name="sink">Told of a candidate that left.</param>
    /// <returns>Whether it is not presumed any more.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Note(long frame, int flow, SegmentKind kind, bool isPresumed, long answeredBy, long roundTrip, IFindingSink sink)
    {
        // Nearly always it is the last one: the answer comes before anything else does.
        var ring = _ring;
        var last = (_first + _count - 1) & (ring.Length - 1);
        return _count > 0 && ring[last].Frame == frame
            ? NoteAt(ref ring[last], last, kind, isPresumed, answeredBy, roundTrip)
            : NoteBefore(frame, flow, kind, isPresumed, answeredBy, roundTrip, sink);
    }

    private bool NoteBefore(long frame, int flow, SegmentKind kind, bool isPresumed, long answeredBy, long roundTrip, IFindingSink sink)
    {
        var place = PlaceOf(frame);
        if (place >= 0)
        {
            return NoteAt(ref _ring[place], place, kind, isPresumed, answeredBy, roundTrip);
        }
        if (_late.Count > 0)
        {
            NoteLate(frame, LateKey(flow, fromLow: true), kind, isPresumed, answeredBy, roundTrip, sink);
            NoteLate(frame, LateKey(flow, fromLow: false), kind, isPresumed, answeredBy, roundTrip, sink);
        }
        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool NoteAt(ref Finding finding, int place, SegmentKind kind, bool isPresumed, long answeredBy, long roundTrip)
    {
        var wasPresumed = finding.IsPresumed;
        Settle(ref finding, kind, isPresumed, answeredBy, roundTrip);
        _isHeld &= place != _first;
        return wasPresumed && !isPresumed;
    }

    /// <summary>Notes the reset that answers a probe, if it is still here.</summary>
    /// <param name="frame">The probe's packet.</param>
    /// <param name="reset">The reset's packet.</param>
    /// <param name="roundTrip">From one to the other.</param>
    public void NoteReset(long frame, long reset, long roundTrip)
    {
        var place = PlaceOf(frame);
        if (place >= 0 && _ring[place].AnsweredBy == 0)
        {
            (_ring[place].AnsweredBy, _ring[place].RoundTrip, _ring[place].IsReset) = (reset, roundTrip, true);
            _isHeld &= place != _first;
        }
    }

    /// <summary>Lets go of the findings that need not wait any longer; candidates that nothing confirmed are left out.</summary>
    /// <param name="now">The capture's time, <see cref="CapturedPacket.NoTime"/> where it is not known; <see cref="long.MaxValue"/> at its end.</param>
    /// <param name="sink">Told of them, in their order.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Release(long now, IFindingSink sink)
    {
        // Where a time is not known the difference means nothing, and the rest finds out.
        if (_count > 0 && !(_isHeld && now - _heldSince < MaxWait && _count <= Limit && now != long.MaxValue))
        {
            ReleaseSome(now, sink);
        }
    }

    private static int LateKey(int flow, bool fromLow) => (flow * 2) + (fromLow ? 0 : 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Settle(ref Finding finding, SegmentKind kind, bool isPresumed, long answeredBy, long roundTrip)
    {
        if (finding.Kind == SegmentKind.Candidate)
        {
            finding.Kind = kind;
        }
        finding.IsPresumed = isPresumed;
        if (answeredBy != 0)
        {
            finding.AnsweredBy = answeredBy;
            finding.RoundTrip = roundTrip;
        }
    }

    private void ReleaseSome(long now, IFindingSink sink)
    {
        _isHeld = false;
        while (_count > 0)
        {
            ref var head = ref _ring[_first];
            if (head.Kind == SegmentKind.Candidate)
            {
                if (IsPending(in head, out var key))
                {
                    if (Waits(head.Time, now, CandidateWait))
                    {
                        return;
                    }
                    _late[key] = head;
                }
            }
            else if (!head.IsSettled && Waits(head.Time, now, MaxWait))
            {
                (_isHeld, _heldSince) = (true, head.Time);
                return;
            }
            else
            {
                Report(in head, sink);
            }
            _first = (_first + 1) & (_ring.Length - 1);
            _count--;
        }
    }

    /// <summary>Whether the first one waits for longer.</summary>
    /// <param name="since">Its time.</param>
    /// <param name="now">The capture's time.</param>
    /// <param name="atMost">The longest it waits.</param>
    private bool Waits(long since, long now, long atMost) =>
        _count <= Limit && now != long.MaxValue && !(now != CapturedPacket.NoTime && since != CapturedPacket.NoTime && now - since >= atMost);

    /// <summary>Whether a candidate can still turn out to be a probe.</summary>
    private bool IsPending(in Finding candidate, out int key)
    {
        ref readonly var flow = ref flows.At(candidate.Flow);
        var fromLow = IsPending(in flow.FromLow, candidate.Frame);
        key = LateKey(candidate.Flow, fromLow);
        return fromLow || IsPending(in flow.FromHigh, candidate.Frame);
    }

    private static bool IsPending(in Direction direction, long frame) => direction.Pending == PendingProbe.Candidate && direction.PendingNumber == frame;

    private void NoteLate(long frame, int key, SegmentKind kind, bool isPresumed, long answeredBy, long roundTrip, IFindingSink sink)
    {
        if (_late.TryGetValue(key, out var finding) && finding.Frame == frame)
        {
            _late.Remove(key);
            Settle(ref finding, kind, isPresumed, answeredBy, roundTrip);
            Report(in finding, sink);
        }
    }

    private void Report(in Finding finding, IFindingSink sink)
    {
        if (finding.CopyOf != 0)
        {
            CopiedProbes += finding.Kind == SegmentKind.Probe ? 1 : 0;
            CopiedReplies += finding.Kind == SegmentKind.Reply ? 1 : 0;
        }
        sink.Found(in finding);
    }

    /// <summary>The place of a packet's finding, -1 where it has left.</summary>
    private int PlaceOf(long frame)
    {
        var (low, high) = (0, _count - 1);
        var middle = high;
        while (low <= high)
        {
            var place = (_first + middle) & (_ring.Length - 1);
            var found = _ring[place].Frame;
            if (found == frame)
            {
                return place;
            }
            (low, high) = found < frame ? (middle + 1, high) : (low, middle - 1);
            middle = (low + high) / 2;
        }
        return -1;
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
