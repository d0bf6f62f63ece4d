using System.Globalization;
using Keepalive.CommandLine;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Pages;

/// <summary>A connection of a capture: its packets in bounded memory, and what they say about how it fared.</summary>
/// <param name="key">Its ends.</param>
internal sealed class CapturedConnection(FlowKey key)
{
    /// <summary>Silence that keepalive is about, nanoseconds: a probe comes after a second at the earliest.</summary>
    private const long Quiet = 900_000_000;

    /// <summary>A reset so soon after a silence is its result, nanoseconds.</summary>
    private const long Soon = 5_000_000_000;

    /// <summary>Silence that balancers end connections for, nanoseconds.</summary>
    private const long Long = 10_000_000_000;

    /// <summary>The longest name in a heading, characters.</summary>
    private const int MaxName = 64;

    private HttpExchanges? _exchanges;
    private End _low;
    private End _high;
    private long _first;
    private long _last;
    private long _count;
    private string? _serverName;
    private bool? _isLowClient;
    private long _longest;
    private long _silence;
    private long _silenceEnd = long.MinValue;
    private long _resetAfter;
    private long _resets;
    private bool _isResetByLow;
    private bool _isResetAfterClose;
    private byte _resetHopLimit;
    private byte _hopLimitBefore;
    private long _probes;
    private long _replies;
    private long _windowProbes;
    private int _mostUnanswered;
    private long _leastWait = long.MaxValue;
    private long _mostWait;
    private long _leastTrip = long.MaxValue;
    private long _mostTrip;

    public FlowKey Key => key;

    /// <summary>Its packets; null if they are not kept, as others have more trouble.</summary>
    public PacketTrace? Trace { get; set; } = new();

    /// <summary>How much there is to see, for the choice of connections.</summary>
    public long Weight => ((long)TroubleNow << 40) + Math.Min(_probes, 1 << 30) + (_longest > Long ? 1 << 20 : 0);

    /// <summary>The trouble so far.</summary>
    public Trouble TroubleNow =>
        IsOneSided ? Trouble.Notice
        : Unanswered > 1 || Repeated > 1 || (_resets > 0 && (_resetAfter > Long || _mostUnanswered > 1)) ? Trouble.Failure
        : _mostUnanswered > 0 || _resets > 0 || _windowProbes > 0 ? Trouble.Notice
        : Trouble.None;

    private int Unanswered => Math.Max(_low.Unanswered, _high.Unanswered);

    private int Repeated => Math.Max(_low.Repeated, _high.Repeated);

    /// <summary>Whether one end acknowledges packets of the other that are not in the capture: it was made where they do not pass.</summary>
    private bool IsOneSided => (_low.HasHeard && !_high.HasSpoken) || (_high.HasHeard && !_low.HasSpoken);

    /// <summary>Takes its next segment.</summary>
    /// <param name="number">The packet's.</param>
    /// <param name="time">Nanoseconds since the report's beginning.</param>
    /// <param name="segment">The segment.</param>
    /// <param name="result">Its classification.</param>
    /// <param name="fromLow">Its direction.</param>
    public void Add(long number, long time, in TcpSegment segment, in Classification result, bool fromLow)
    {
        var idle = _count == 0 ? 0 : Math.Max(0, time - _last);
        _first = _count == 0 ? time : _first;
        if (idle >= Quiet)
        {
            (_silence, _silenceEnd) = (idle, time);
            _longest = Math.Max(_longest, idle);
        }
        var kind = KindOf(in segment, in result);
        Trace?.Add(new ReportPacket
        {
            Frame = number,
            Time = time,
            Ordinal = _count,
            Idle = idle,
            Answers = result.Answers,
            Sequence = segment.Sequence,
            Length = segment.PayloadLength,
            Flags = segment.Flags,
            Kind = kind,
            IsFromClient = fromLow,
        });
        (_last, _count) = (time, _count + 1);
        Recognise(in result);
        ref var sender = ref fromLow ? ref _low : ref _high;
        ref var receiver = ref fromLow ? ref _high : ref _low;
        sender.Listen(in segment);
        Follow(kind, idle, in segment, in result, ref sender, ref receiver, fromLow, time);
        Read(in segment, fromLow, time);
    }

    /// <summary>The connection for the page.</summary>
    public ReportConnection ToReport()
    {
        var isLowClient = _isLowClient ?? key.Low.Port >= key.High.Port;
        var (client, server) = isLowClient ? (key.Low, key.High) : (key.High, key.Low);
        // Without the packets of the server, nothing shows whether it has answered.
        List<ReportRequest> requests = [.. (_exchanges?.ToList(_last) ?? []).Where(request => request.Status > 0 || !IsOneSided)];
        var failed = requests.Count(static request => request.Status is 0 or >= 500);
        return new ReportConnection
        {
            Name = $"{client} → {server}" + (_serverName is null ? "" : $" ({Short(_serverName)})"),
            Client = client.ToString(),
            Server = server.ToString(),
            Trouble = failed > 0 ? Trouble.Failure : TroubleNow,
            Verdict = Verdict(isLowClient, requests),
            Packets = [.. (Trace ?? new()).ToList().Select(packet => packet with { IsFromClient = packet.IsFromClient == isLowClient })],
            PacketCount = _count,
            Requests = requests,
            Settings = [.. Settings()],
        };
    }

    private static PacketKind KindOf(in TcpSegment segment, in Classification result) => result.Kind switch
    {
        SegmentKind.Probe => PacketKind.Probe,
        SegmentKind.WindowProbe => PacketKind.WindowProbe,
        SegmentKind.Reply or SegmentKind.WindowReply => PacketKind.Reply,
        _ => ReportPacket.KindOf(segment.Flags, segment.PayloadLength),
    };

    /// <summary>Takes candidates that turned out to be probes.</summary>
    private void Recognise(in Classification result)
    {
        var frame = result.Shows != 0 ? result.Shows : result.Confirms ? result.Confirmed : 0;
        if (frame == 0)
        {
            return;
        }
        var isWindow = result.Shows != 0 ? result.Shown == SegmentKind.WindowProbe : result.Kind == SegmentKind.WindowReply;
        Trace?.Recognise(frame, isWindow ? PacketKind.WindowProbe : PacketKind.Probe);
        _probes += isWindow ? 0 : 1;
        _windowProbes += isWindow ? 1 : 0;
    }

    private void Follow(
        PacketKind kind, long idle, in TcpSegment segment, in Classification result, ref End sender, ref End receiver, bool fromLow, long time)
    {
        if (kind == PacketKind.Probe)
        {
            _probes++;
            sender.Unanswered++;
            _mostUnanswered = Math.Max(_mostUnanswered, sender.Unanswered - 1);
            _leastWait = Math.Min(_leastWait, idle);
            _mostWait = Math.Max(_mostWait, idle);
        }
        _windowProbes += kind == PacketKind.WindowProbe ? 1 : 0;
        if (result.Kind == SegmentKind.Reply)
        {
            _replies++;
            if (result.RoundTrip >= 0)
            {
                _leastTrip = Math.Min(_leastTrip, result.RoundTrip);
                _mostTrip = Math.Max(_mostTrip, result.RoundTrip);
            }
        }
        if (result.IsHeard)
        {
            (receiver.Unanswered, receiver.Repeated) = (0, 0);
        }
        if (kind == PacketKind.Data && result.Kind != SegmentKind.Duplicate)
        {
            var next = segment.Sequence + (uint)segment.PayloadLength;
            var isNew = !sender.HasSent || SequenceNumber.IsAfter(next, sender.Next);
            sender.Repeated = isNew ? 0 : sender.Repeated + 1;
            (sender.Next, sender.HasSent) = (isNew ? next : sender.Next, true);
        }
        if (kind == PacketKind.Opening)
        {
            _isLowClient = (segment.Flags & TcpFlags.Ack) == 0 ? fromLow : !fromLow;
        }
        if (kind == PacketKind.Probe)
        {
            _isLowClient ??= fromLow;
        }
        if (result.Reset != ResetKind.None)
        {
            _resets++;
            _isResetByLow = fromLow;
            _isResetAfterClose = sender.HasFinished;
            (_resetHopLimit, _hopLimitBefore) = (segment.HopLimit, sender.HopLimit);
            _resetAfter = _silenceEnd != long.MinValue && time - _silenceEnd <= Soon ? _silence : 0;
            _exchanges?.Reset(time);
        }
    }

    /// <summary>Reads the beginnings of requests and answers, and the server's name.</summary>
    private void Read(in TcpSegment segment, bool fromLow, long time)
    {
        var payload = segment.Payload;
        if (payload.IsEmpty)
        {
            return;
        }
        if (HttpExchanges.MayBegin(payload))
        {
            _exchanges ??= new();
            // Without a handshake the lower port is the server's, as in the report.
            _exchanges.Take(payload, fromLow == (_isLowClient ?? key.Low.Port >= key.High.Port), time);
        }
        else if (_serverName is null && _count < 16)
        {
            _serverName = ServerName.Find(payload);
        }
    }

    private string Verdict(bool isLowClient, IReadOnlyList<ReportRequest> requests)
    {
        if (IsOneSided)
        {
            var (seen, other) = _low.HasSpoken == isLowClient ? ("client", "server") : ("server", "client");
            return $"Only packets of the {seen} are in the capture. They acknowledge packets of the {other}, so nothing shows which of them were answered.";
        }
        if (_resets > 0)
        {
            var by = _isResetByLow == isLowClient ? "the client" : "the server";
            var after = _resetAfter >= Quiet ? $", after {Time(_resetAfter)} of silence" : "";
            if (_isResetAfterClose)
            {
                return $"{(_isResetByLow == isLowClient ? "The client" : "The server")} had closed it. The other end still sent to it{after}, and the answer was a reset.";
            }
            if (_hopLimitBefore != 0 && _hopLimitBefore != _resetHopLimit)
            {
                return $"A reset in the name of {by} ended it{after}. Its TTL is {_resetHopLimit}, that of the packets before {_hopLimitBefore}: a device on the way sent it.";
            }
            return _resetAfter >= Quiet ? $"A reset that names {by} as its sender ended it, after {Time(_resetAfter)} of silence."
                : _mostUnanswered > 0 ? $"A reset that names {by} as its sender ended it; {Words.Count(_mostUnanswered, "probe")} in a row had no answer."
                : $"A reset that names {by} as its sender ended it.";
        }
        if (Repeated > 1)
        {
            return $"Data was sent {Repeated + 1} times, and nothing came back" + (_silence > 0 ? $"; the silence before was {Time(_silence)}." : ".");
        }
        if (Unanswered > 0)
        {
            return $"{Words.Count(Unanswered, "keepalive probe")} at its end had no answer.";
        }
        var bad = requests.Where(static request => request.Status is 0 or >= 500).ToList();
        var result = bad.Count > 0 ? $"{bad[0].Text}. " : "";
        return result + (_mostUnanswered > 0 ? $"Up to {Words.Count(_mostUnanswered, "keepalive probe")} in a row had no answer; later packets were answered again."
            : _probes > 0 ? $"{Words.Count(_probes, "keepalive probe")}, {(_probes == 1 ? "" : "each ")}answered."
            : _longest > 0 ? $"No keepalive probe; the longest silence was {Time(_longest)}."
            : "No keepalive probe, and no silence of a second.");
    }

    private IEnumerable<ReportSetting> Settings()
    {
        const string seen = "Seen in the capture";
        yield return new(seen, "longest silence", _longest > 0 ? Time(_longest) : "under 1 s", "", TroubleNow == Trouble.Failure && _longest > Long);
        yield return new(seen, "probes", Number(_probes), _probes == 0 ? "keepalive is off, or its time is longer than the silences"
            : IsOneSided ? "replies are not in the capture" : $"{Number(_replies)} answered", _mostUnanswered > 0 && !IsOneSided);
        if (_probes > 0 && _mostWait > 0)
        {
            var (least, most) = (Time(_leastWait), Time(_mostWait));
            yield return new(seen, "idle before a probe", least == most ? least : $"{least} to {most}");
        }
        if (_mostTrip > 0)
        {
            var (least, most) = (Milliseconds(_leastTrip), Milliseconds(_mostTrip));
            yield return new(seen, "round trip", least == most ? $"{least} ms" : $"{least} to {most} ms");
        }
        if (_windowProbes > 0)
        {
            yield return new(seen, "window probes", Number(_windowProbes), "the other end does not read");
        }
    }

    private static string Short(string name) => name.Length <= MaxName ? name : string.Concat(name.AsSpan(0, MaxName), "…");

    private static string Time(long nanoseconds) => PacketReport.TextOf(nanoseconds);

    private static string Milliseconds(long nanoseconds) => (nanoseconds / 1e6).ToString(nanoseconds < 100_000 ? "0.###" : "0.##", CultureInfo.InvariantCulture);

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>One end's sending.</summary>
    private struct End
    {
        public uint Next;
        public bool HasSent;

        /// <summary>Whether a packet of it is in the capture.</summary>
        public bool HasSpoken;

        /// <summary>Whether its packets show that it received some of the other end, be they in the capture or not.</summary>
        public bool HasHeard;

        private uint _acknowledged;
        private bool _hasAcknowledged;
        private bool _hasOpened;

        /// <summary>Keepalive probes since the other end was heard.</summary>
        public int Unanswered;

        /// <summary>Repetitions of data since the other end was heard.</summary>
        public int Repeated;

        /// <summary>The hop limit of its latest packet that is no reset; 0 before there was one.</summary>
        public byte HopLimit;

        public bool HasFinished;

        /// <summary>Notes what a packet of it shows about the other end. An acknowledgement alone may be of a connection that is older than
        /// the capture; one after its SYN, or that moves on, is of a packet that came meanwhile.</summary>
        public void Listen(in TcpSegment segment)
        {
            HasSpoken = true;
            HasFinished |= (segment.Flags & TcpFlags.Fin) != 0;
            if ((segment.Flags & TcpFlags.Rst) != 0)
            {
                return;
            }
            HopLimit = segment.HopLimit;
            if ((segment.Flags & TcpFlags.Ack) == 0)
            {
                _hasOpened |= (segment.Flags & TcpFlags.Syn) != 0;
                return;
            }
            HasHeard |= _hasOpened || (_hasAcknowledged && segment.Acknowledged != _acknowledged);
            (_acknowledged, _hasAcknowledged) = (segment.Acknowledged, true);
        }
    }
}
