using Keepalive.Linux.Sockets;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Reports;

/// <summary>The output of <c>probes</c>: a line for each finding as it comes, and a summary at the end.</summary>
internal abstract class ProbeReport(Stream output) : IFindingSink
{
    protected LineBuffer Lines { get; } = new(output);

    protected EndpointText Endpoints { get; } = new();

    public static ProbeReport Create(Stream output, bool json) => json ? new ProbeJson(output) : new ProbeTable(output);

    public abstract void Found(in Finding finding);

    /// <summary>Says what it came to.</summary>
    /// <param name="scan">The scan, ended.</param>
    /// <param name="dropped">Packets the kernel dropped because nobody took them in time; null in files.</param>
    public abstract void Summarize(ProbeScan scan, long? dropped);

    public void Flush() => Lines.Flush();

    /// <summary>Both directions of every connection with findings, the busiest first.</summary>
    protected static List<Prober> Probers(ProbeScan scan)
    {
        var probers = new List<Prober>();
        foreach (ref readonly var flow in scan.Classifier.Flows.All)
        {
            Add(probers, flow.Key.Low, flow.Key.High, in flow.FromLow, flow.IsReset);
            Add(probers, flow.Key.High, flow.Key.Low, in flow.FromHigh, flow.IsReset);
        }
        probers.Sort(static (a, b) => (b.Direction.Probes + b.Direction.WindowProbes).CompareTo(a.Direction.Probes + a.Direction.WindowProbes));
        return probers;
    }

    protected static ReadOnlySpan<byte> Name(SegmentKind kind) => kind switch
    {
        SegmentKind.Reply => "reply"u8,
        SegmentKind.WindowProbe => "windowProbe"u8,
        _ => "probe"u8,
    };

    private static void Add(List<Prober> probers, SocketEndpoint from, SocketEndpoint to, in Direction direction, bool isReset)
    {
        if (direction.Probes + direction.WindowProbes > 0)
        {
            probers.Add(new Prober(from, to, direction, isReset));
        }
    }

    /// <summary>One end of a connection that has sent probes.</summary>
    /// <param name="From">This end.</param>
    /// <param name="To">The other end.</param>
    /// <param name="Direction">The counters.</param>
    /// <param name="IsReset">Whether the connection ended by a reset.</param>
    protected readonly record struct Prober(SocketEndpoint From, SocketEndpoint To, Direction Direction, bool IsReset);
}
