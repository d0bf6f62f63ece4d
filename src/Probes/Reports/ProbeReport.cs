using Keepalive.Linux.Sockets;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Reports;

/// <summary>The output of <c>probes</c>: a line for each finding as it comes, and a summary at the end.</summary>
internal abstract class ProbeReport(Stream output, bool isSummary) : IFindingSink
{
    protected LineBuffer Lines { get; } = new(output);

    /// <summary>The numbers of VLANs and tunnels that findings have.</summary>
    protected PathTable Paths { get; private set; } = new();

    /// <summary>Whether only the totals are printed: no findings and no connections.</summary>
    public bool IsSummary { get; } = isSummary;

    public static ProbeReport Create(Stream output, bool json, bool isSummary = false) =>
        json ? new ProbeJson(output, isSummary) : new ProbeTable(output, isSummary);

    public void Begin(PathTable paths) => Paths = paths;

    public void Found(in Finding finding)
    {
        if (!IsSummary)
        {
            Line(in finding);
        }
    }

    /// <summary>Says what it came to.</summary>
    /// <param name="scan">The scan, ended.</param>
    /// <param name="dropped">Packets the kernel dropped because nobody took them in time; null in files.</param>
    public abstract void Summarize(ProbeScan scan, long? dropped);

    public void Flush() => Lines.Flush();

    /// <summary>Prints a finding.</summary>
    protected abstract void Line(in Finding finding);

    /// <summary>The connections that turned out to be dead after a silence.</summary>
    protected static List<BrokenConnection> BrokenConnections(ProbeScan scan)
    {
        var all = new List<BrokenConnection>();
        foreach (ref readonly var broken in scan.Broken.All)
        {
            if (!broken.IsRefuted)
            {
                all.Add(broken);
            }
        }
        return all;
    }

    /// <summary>Both directions of every connection with findings, the busiest first.</summary>
    protected static List<Prober> Probers(ProbeScan scan)
    {
        var probers = new List<Prober>();
        var flows = scan.Classifier.Flows.All;
        foreach (ref readonly var flow in flows)
        {
            Add(probers, flows, in flow, fromLow: true);
            Add(probers, flows, in flow, fromLow: false);
        }
        probers.Sort(static (a, b) => (b.Direction.Probes + b.Direction.WindowProbes).CompareTo(a.Direction.Probes + a.Direction.WindowProbes));
        return probers;
    }

    private static void Add(List<Prober> probers, ReadOnlySpan<Flow> flows, in Flow flow, bool fromLow)
    {
        var (from, to) = Ends(in flow, fromLow);
        ref readonly var direction = ref fromLow ? ref flow.FromLow : ref flow.FromHigh;
        if (direction.Probes + direction.WindowProbes > 0)
        {
            var prober = new Prober(from, to, direction, flow.IsReset, fromLow ? flow.PathFromLow : flow.PathFromHigh);
            // Another flow may have taken the original's place.
            if (flow.CopyOf > 0 && flow.CopyOf <= flows.Length && flows[flow.CopyOf - 1] is { HasCopies: true } original)
            {
                var same = fromLow != flow.IsCopyReversed;
                var ends = Ends(in original, same);
                prober = prober with { Original = new Original(ends.From, ends.To, same ? original.PathFromLow : original.PathFromHigh) };
            }
            probers.Add(prober);
        }
    }

    private static (SocketEndpoint From, SocketEndpoint To) Ends(in Flow flow, bool fromLow) =>
        fromLow ? (flow.Key.Low, flow.Key.High) : (flow.Key.High, flow.Key.Low);

    /// <summary>One end of a connection that has sent probes.</summary>
    /// <param name="From">This end.</param>
    /// <param name="To">The other end.</param>
    /// <param name="Direction">The counters.</param>
    /// <param name="IsReset">Whether the connection ended by a reset.</param>
    /// <param name="Path">The VLANs and tunnels that its packets are in.</param>
    protected readonly record struct Prober(SocketEndpoint From, SocketEndpoint To, Direction Direction, bool IsReset, int Path)
    {
        /// <summary>The connection that had the same packets first; null for none.</summary>
        public Original? Original { get; init; }
    }

    /// <summary>The first appearance of a connection that was captured twice.</summary>
    protected readonly record struct Original(SocketEndpoint From, SocketEndpoint To, int Path);
}
