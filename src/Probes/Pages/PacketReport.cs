using System.Globalization;
using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Pages;

/// <summary>Packets of connections with their fate, as the packet page shows them.</summary>
/// <remarks>Times are nanoseconds since the report's beginning.</remarks>
internal sealed record PacketReport
{
    /// <summary>The heading.</summary>
    public required string Title { get; init; }

    /// <summary>The command or the capture that the packets are from.</summary>
    public required string Source { get; init; }

    /// <summary>The time 0 of the report, nanoseconds since 1970; null if it is unknown.</summary>
    public long? Began { get; init; }

    /// <summary>The stations of a packet from the first to the last: two ends, or two ends with a balancer between them.</summary>
    public required IReadOnlyList<string> Lanes { get; init; }

    /// <summary>Whether all connections begin at the left edge, to be compared; else each is at its time.</summary>
    public bool IsAligned { get; init; }

    /// <summary>The connections, in any order.</summary>
    public required IReadOnlyList<ReportConnection> Connections { get; init; }

    /// <summary>Figures of the whole.</summary>
    public IReadOnlyList<ReportFact> Facts { get; init; } = [];

    /// <summary>The parts that the page does not show, a sentence each.</summary>
    public IReadOnlyList<string> LeftOut { get; init; } = [];

    /// <summary>A length of time as people read it: <c>4.999 s</c>, <c>350.0 s</c>, <c>1 h 30 min</c>.</summary>
    public static string TextOf(long nanoseconds)
    {
        var seconds = nanoseconds / 1e9;
        if (seconds < 10)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{seconds:0.0##} s");
        }
        if (seconds < 3599.95)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{seconds:0.0} s");
        }
        var minutes = (long)Math.Round(seconds / 60);
        return string.Create(CultureInfo.InvariantCulture, $"{minutes / 60:N0} h{(minutes % 60 == 0 ? "" : $" {minutes % 60} min")}");
    }
}

/// <summary>A figure with its name.</summary>
internal readonly record struct ReportFact(string Name, string Value);

/// <summary>How badly a connection fared. Connections are sorted by it.</summary>
internal enum Trouble
{
    None,

    /// <summary>Something to look at that broke nothing.</summary>
    Notice,

    /// <summary>A request or the connection was lost.</summary>
    Failure,
}

/// <summary>A connection of the page.</summary>
internal sealed record ReportConnection
{
    /// <summary>The heading.</summary>
    public required string Name { get; init; }

    /// <summary>The end on the first lane, and the one on the last.</summary>
    public required string Client { get; init; }

    public required string Server { get; init; }

    public Trouble Trouble { get; init; }

    /// <summary>The result in one sentence.</summary>
    public required string Verdict { get; init; }

    /// <summary>A full idle clock, nanoseconds; null if no idle timeout is known.</summary>
    public long? IdleTimeout { get; init; }

    /// <summary>The packets shown, in the order of their times.</summary>
    public required IReadOnlyList<ReportPacket> Packets { get; init; }

    /// <summary>All packets, those that are not shown among them.</summary>
    public long PacketCount { get; init; }

    public IReadOnlyList<ReportMark> Marks { get; init; } = [];

    public IReadOnlyList<ReportRequest> Requests { get; init; } = [];

    public IReadOnlyList<ReportSetting> Settings { get; init; } = [];
}

/// <summary>An instant with a meaning of its own.</summary>
internal readonly record struct ReportMark(long Time, MarkKind Kind, string Text);

/// <summary>The kinds of instants.</summary>
internal enum MarkKind
{
    /// <summary>The idle clock ran out.</summary>
    Expired,

    /// <summary>An expired connection is known again.</summary>
    Revived,
}

/// <summary>A request and its answer.</summary>
/// <param name="From">When it was sent.</param>
/// <param name="To">When the answer, or the error, came.</param>
/// <param name="Status">The status; 0 if there was none.</param>
/// <param name="Text">The request and how it came out.</param>
internal readonly record struct ReportRequest(long From, long To, int Status, string Text);

/// <summary>A value of the policy or the balancer.</summary>
/// <param name="Group">The heading above it.</param>
/// <param name="Name">Its name.</param>
/// <param name="Value">The value.</param>
/// <param name="Note">A remark; may be empty.</param>
/// <param name="IsDecisive">Whether it made the difference.</param>
internal readonly record struct ReportSetting(string Group, string Name, string Value, string Note = "", bool IsDecisive = false);

/// <summary>The kind of a packet on the page, from the one that matters least.</summary>
internal enum PacketKind : byte
{
    Acknowledgement,
    Data,
    Opening,
    Ending,
    Reply,
    Probe,
    WindowProbe,
    Reset,
}

/// <summary>The fate of a packet on its way.</summary>
internal enum PacketFate : byte
{
    Passed,

    /// <summary>The balancer dropped it.</summary>
    Swallowed,

    /// <summary>The balancer sent it by itself.</summary>
    Forged,
}

/// <summary>A packet.</summary>
internal readonly record struct ReportPacket
{
    /// <summary>Its number in the capture, from 1 as Wireshark counts.</summary>
    public long Frame { get; init; }

    public long Time { get; init; }

    /// <summary>Its place among the connection's packets, from 0: a jump shows packets that are left out.</summary>
    public long Ordinal { get; init; }

    /// <summary>Nanoseconds since the packet before it in this connection.</summary>
    public long Idle { get; init; }

    /// <summary>The frame of the probe that a reply answers; 0 for none.</summary>
    public long Answers { get; init; }

    /// <summary>Nanoseconds until the balancer's idle clock runs out, after this packet; 0 if the balancer has none for it, or it is unknown.</summary>
    public long Left { get; init; }

    public uint Sequence { get; init; }

    public int Length { get; init; }

    public TcpFlags Flags { get; init; }

    public PacketKind Kind { get; init; }

    public PacketFate Fate { get; init; }

    /// <summary>Whether it travels from the first lane to the last; a forged one is sent to the first lane if not.</summary>
    public bool IsFromClient { get; init; }

    /// <summary>The kind of a segment by its flags and its length.</summary>
    public static PacketKind KindOf(TcpFlags flags, int length) =>
        (flags & TcpFlags.Rst) != 0 ? PacketKind.Reset
        : (flags & TcpFlags.Syn) != 0 ? PacketKind.Opening
        : (flags & TcpFlags.Fin) != 0 ? PacketKind.Ending
        : length > 0 ? PacketKind.Data
        : PacketKind.Acknowledgement;
}
