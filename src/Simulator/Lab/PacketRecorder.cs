using System.Globalization;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>Keeps the packets of a balancer's connections and their fate, for the page of <c>--report</c>.</summary>
/// <remarks>The forwarding thread fills it. Frames are numbered as <see cref="FrameLog"/> writes them. Memory is bounded.</remarks>
/// <param name="rule">The balancer's rule.</param>
/// <param name="capacity">The most connections that are kept; later ones are only counted.</param>
internal sealed class PacketRecorder(BalancerRule rule, int capacity = PacketRecorder.DefaultCapacity)
{
    public const int DefaultCapacity = 2_000;

    private const int MaxMarks = 100;

    private readonly Lock _lock = new();
    private readonly Dictionary<LabFlowKey, Recorded> _connections = [];
    private long _frames;

    public BalancerRule Rule => rule;

    /// <summary>Connections for which there was no room.</summary>
    public long LeftOut { get; private set; }

    /// <summary>Takes a frame of an end.</summary>
    /// <param name="from">The end.</param>
    /// <param name="passes">Whether the balancer forwards it.</param>
    /// <param name="frame">All of it.</param>
    /// <param name="time">Since the lab began.</param>
    /// <param name="deadline">When the connection's idle clock runs out from now on; null if it is not open.</param>
    public void Take(FlowEnd from, bool passes, ReadOnlySpan<byte> frame, TimeSpan time, Func<LabFlowKey, TimeSpan?> deadline)
    {
        lock (_lock)
        {
            var number = ++_frames;
            _frames += passes ? 1 : 0;
            if (!TcpFrame.TryParse(frame, out var segment))
            {
                return;
            }
            var key = LabFlowKey.Of(segment, from);
            if (Find(key) is not { } connection)
            {
                return;
            }
            var probe = connection.IsProbe;
            connection.IsProbe = false;
            var pending = connection.Pending(from.Other());
            var answers = pending.Frame != 0 && IsReply(in segment, pending.Next) ? pending.Frame : 0;
            if (answers != 0)
            {
                connection.Pending(from.Other()) = default;
            }
            else if (probe)
            {
                connection.Pending(from) = (number, segment.Sequence + 1);
            }
            connection.Add(new ReportPacket
            {
                Frame = number,
                Answers = answers,
                Sequence = segment.Sequence,
                Length = segment.PayloadLength,
                Flags = segment.Flags,
                Kind = probe ? PacketKind.Probe : answers != 0 ? PacketKind.Reply : ReportPacket.KindOf(segment.Flags, segment.PayloadLength),
                Fate = passes ? PacketFate.Passed : PacketFate.Swallowed,
                IsFromClient = from == FlowEnd.Client,
                Left = deadline(key) is { } until ? Nanoseconds(until - time) : 0,
            }, time);
            connection.Exchange(in segment, from, passes, time);
        }
    }

    /// <summary>Takes a frame that the balancer sends by itself.</summary>
    /// <param name="to">The end that receives it.</param>
    /// <param name="frame">All of it.</param>
    /// <param name="time">Since the lab began.</param>
    public void Forged(FlowEnd to, ReadOnlySpan<byte> frame, TimeSpan time)
    {
        lock (_lock)
        {
            var number = ++_frames;
            // As if the other end had sent it: that is what it claims.
            if (TcpFrame.TryParse(frame, out var segment) && Find(LabFlowKey.Of(segment, to.Other())) is { } connection)
            {
                connection.Add(new ReportPacket
                {
                    Frame = number,
                    Sequence = segment.Sequence,
                    Length = segment.PayloadLength,
                    Flags = segment.Flags,
                    Kind = ReportPacket.KindOf(segment.Flags, segment.PayloadLength),
                    Fate = PacketFate.Forged,
                    IsFromClient = to == FlowEnd.Server,
                }, time);
                connection.Forged(in segment, time);
            }
        }
    }

    /// <summary>Takes a frame that the balancer has no part in.</summary>
    public void Skip()
    {
        lock (_lock)
        {
            _frames += 2;
        }
    }

    /// <summary>Takes an event; it comes before the frame that it is about.</summary>
    public void Happened(LabEvent what)
    {
        lock (_lock)
        {
            if (Find(what.Flow) is not { } connection)
            {
                return;
            }
            connection.Count(what.Kind);
            connection.IsProbe = what.IsProbe || what.Kind is LabEventKind.Refreshed or LabEventKind.Probed or LabEventKind.Ignored;
            if (what.Kind is LabEventKind.Expired or LabEventKind.Revived && connection.Marks.Count < MaxMarks)
            {
                var kind = what.Kind == LabEventKind.Expired ? MarkKind.Expired : MarkKind.Revived;
                connection.Marks.Add(new ReportMark(Nanoseconds(what.Time), kind, kind == MarkKind.Expired ? $"expired after {Seconds(what.Idle)}" : "known again"));
            }
        }
    }

    /// <summary>The connections, by what happened to them. To be called when nothing is forwarded any more.</summary>
    public IReadOnlyList<RecordedConnection> Connections()
    {
        lock (_lock)
        {
            return
            [
                .. _connections.Select(entry => new RecordedConnection(entry.Key, entry.Value.OpenedBy, entry.Value.Counts, new ReportConnection
                {
                    Name = $"{entry.Key.EndPoint(entry.Value.OpenedBy)} → {entry.Key.EndPoint(entry.Value.OpenedBy.Other())}",
                    Client = entry.Key.EndPoint(FlowEnd.Client).ToString(),
                    Server = entry.Key.EndPoint(FlowEnd.Server).ToString(),
                    Verdict = "",
                    IdleTimeout = Nanoseconds(rule.IdleTimeout),
                    Packets = entry.Value.Trace.ToList(),
                    PacketCount = entry.Value.Trace.Count,
                    Marks = entry.Value.Marks,
                    Requests = entry.Value.Requests(),
                })),
            ];
        }
    }

    private static long Nanoseconds(TimeSpan time) => time.Ticks * TimeSpan.NanosecondsPerTick;

    private static string Seconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.00} s");

    private static bool IsReply(in TcpFrame segment, uint next) =>
        segment.PayloadLength == 0
        && (segment.Flags & (TcpFlags.Ack | TcpFlags.Syn | TcpFlags.Rst | TcpFlags.Fin)) == TcpFlags.Ack
        && segment.Acknowledgment == next;

    private Recorded? Find(in LabFlowKey key)
    {
        if (_connections.TryGetValue(key, out var connection))
        {
            return connection;
        }
        if (_connections.Count == capacity)
        {
            LeftOut++;
            return null;
        }
        connection = new Recorded();
        _connections.Add(key, connection);
        return connection;
    }

    private sealed class Recorded
    {
        private readonly int[] _counts = new int[Enum.GetValues<LabEventKind>().Length];
        private (long Frame, uint Next) _clientProbe;
        private (long Frame, uint Next) _serverProbe;
        private long _last;

        private readonly HttpExchanges _exchanges = new();

        public PacketTrace Trace { get; } = new();

        public List<ReportMark> Marks { get; } = [];

        public FlowEnd OpenedBy { get; private set; }

        /// <summary>Whether the next frame is a keepalive probe.</summary>
        public bool IsProbe { get; set; }

        public IReadOnlyList<int> Counts => _counts;

        /// <summary>The probe of an end that waits for its answer, and the number that the answer acknowledges.</summary>
        public ref (long Frame, uint Next) Pending(FlowEnd prober) => ref prober == FlowEnd.Client ? ref _clientProbe : ref _serverProbe;

        public void Exchange(in TcpFrame segment, FlowEnd from, bool passes, TimeSpan time)
        {
            if (segment.Has(TcpFlags.Rst) && passes)
            {
                _exchanges.Reset(Nanoseconds(time));
            }
            else if (passes || from == OpenedBy)
            {
                _exchanges.Take(segment.Payload, from == OpenedBy, Nanoseconds(time));
            }
        }

        public void Forged(in TcpFrame segment, TimeSpan time)
        {
            if (segment.Has(TcpFlags.Rst))
            {
                _exchanges.Reset(Nanoseconds(time));
            }
        }

        public IReadOnlyList<ReportRequest> Requests() => _exchanges.ToList(_last);

        public void Count(LabEventKind kind) => _counts[(int)kind]++;

        public void Add(in ReportPacket packet, TimeSpan time)
        {
            var nanoseconds = Nanoseconds(time);
            if (Trace.Count == 0 && packet.Fate == PacketFate.Passed)
            {
                OpenedBy = packet.IsFromClient ? FlowEnd.Client : FlowEnd.Server;
            }
            Trace.Add(packet with { Time = nanoseconds, Ordinal = Trace.Count, Idle = Trace.Count == 0 ? 0 : Math.Max(0, nanoseconds - _last) });
            _last = nanoseconds;
        }
    }
}

/// <summary>A connection as it was recorded.</summary>
/// <param name="Key">Its ends.</param>
/// <param name="OpenedBy">The end whose packet was the first.</param>
/// <param name="Counts">How often each <see cref="LabEventKind"/> happened to it.</param>
/// <param name="Connection">Its packets, without a verdict.</param>
internal sealed record RecordedConnection(LabFlowKey Key, FlowEnd OpenedBy, IReadOnlyList<int> Counts, ReportConnection Connection)
{
    public int Count(LabEventKind kind) => Counts[(int)kind];
}
