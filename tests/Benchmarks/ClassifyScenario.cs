using System.Diagnostics;
using System.Globalization;
using Keepalive.Probes.Capture;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Reports;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>Finds every probe in a capture of a million packets. Compared with tshark, and with tcpdump, which only copies
/// packets.</summary>
internal static class ClassifyScenario
{
    public const string Name = "classify";

    private const int Packets = 1_003_000;
    private const int Rounds = 3;
    private const double Goal = 1.0 / 20;
    private const double GoalGrowth = 1.1;

    public static void Run()
    {
        if (LiveSupport.Missing("tshark", "tcpdump") is { } missing)
        {
            throw new InvalidOperationException(missing);
        }
        var file = Path.Combine(Workspace.Directory, "million.pcap");
        var (packets, probes) = CaptureOfProbes.Write(file, Packets);
        Report.Title($"{Name}: a capture of {packets:N0} packets, {probes:N0} probes and as many replies; {Rounds} rounds");
        Series ours = new(), tshark = new(), tcpdump = new(), rate = new(), tsharkRate = new(), tcpdumpRate = new(), inside = new();
        var allocated = 0.0;
        for (var round = -1; round < Rounds; round++)
        {
            var (ofOurs, _) = Measure([ProgramRun.AgentPath, "probes", file, "-o", "json"]);
            var (ofTcpdump, _) = Measure(["tcpdump", "-r", file, "-w", "/dev/null"]);
            var (bytes, ofInside) = InProcess(file, probes);
            if (round < 0)
            {
                continue;
            }
            var (ofTshark, _) = Measure(["tshark", "-n", "-r", file, "-q", "-z", "io,stat,0,tcp.analysis.keep_alive,tcp.analysis.keep_alive_ack"]);
            ours.Add(ofOurs);
            tshark.Add(ofTshark);
            tcpdump.Add(ofTcpdump);
            rate.Add(packets / ofOurs.TotalMilliseconds);
            tsharkRate.Add(packets / ofTshark.TotalMilliseconds);
            tcpdumpRate.Add(packets / ofTcpdump.TotalMilliseconds);
            inside.Add(packets / ofInside.TotalMilliseconds);
            allocated = bytes;
        }
        Report.Line("tshark, both keep-alive filters", tsharkRate, "packets a ms");
        Report.Line("tcpdump -w /dev/null", tcpdumpRate, "packets a ms");
        Report.Line("keepalive-agent probes -o json > /dev/null, start included", rate, "packets a ms");
        Report.Line("  reading and classifying alone, warm", inside, "packets a ms");
        Report.Goal("  time, beside tshark", ours.RelativeTo(tshark), Goal, "× tshark");
        Report.Line("  time, beside tcpdump", ours.RelativeTo(tcpdump), "× tcpdump");
        Report.Goal("  allocated while reading and classifying", allocated / packets, 0.01,
            string.Create(CultureInfo.InvariantCulture, $"{allocated / packets:0.0000}"), "bytes a packet");
        Memory(file);
    }

    /// <summary>Ten times the packets must not need more memory.</summary>
    private static void Memory(string file)
    {
        var large = Path.Combine(Workspace.Directory, "ten-million.pcap");
        var (packets, _) = CaptureOfProbes.Write(large, 10 * Packets);
        var (_, small) = Measure([ProgramRun.AgentPath, "probes", file, "-o", "json"]);
        var (took, most) = Measure([ProgramRun.AgentPath, "probes", large, "-o", "json"]);
        Report.Line($"{packets:N0} packets", string.Create(CultureInfo.InvariantCulture, $"{packets / took.TotalMilliseconds:0} packets a ms"));
        Report.Line("RssAnon, the most, with a million and with ten", string.Create(CultureInfo.InvariantCulture, $"{small:0.0} and {most:0.0} MB"));
        Report.Goal("  growth", most / small, GoalGrowth, string.Create(CultureInfo.InvariantCulture, $"{most / small:0.00}"), "×");
        File.Delete(large);
    }

    /// <summary>Runs a program and discards its output; returns its duration and its peak anonymous memory in MB.</summary>
    private static (TimeSpan Took, double Megabytes) Measure(string[] command)
    {
        var begun = Stopwatch.GetTimestamp();
        using var process = Process.Start(new ProcessStartInfo("sh", ["-c", "exec \"$@\" > /dev/null 2>&1", "sh", .. command]))!;
        var most = 0.0;
        while (!process.WaitForExit(TimeSpan.FromMilliseconds(10)))
        {
            try
            {
                most = Math.Max(most, new ProcessFigures(process.Id).Megabytes("RssAnon"));
            }
            catch (IOException)
            {
                // It has just exited.
            }
        }
        return process.ExitCode == 0
            ? (Stopwatch.GetElapsedTime(begun), most)
            : throw new InvalidOperationException($"{string.Join(' ', command)} ended with {process.ExitCode}");
    }

    private static (long Bytes, TimeSpan Took) InProcess(string file, long probes)
    {
        using var source = CaptureFile.Open(new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0));
        var scan = new ProbeScan(ProbeReport.Create(Stream.Null, json: true));
        // Warms up: every connection and every endpoint's text is known afterwards.
        const int known = 20_000;
        for (var i = 0; i < known && source.TryRead(out var packet); i++)
        {
            scan.Take(in packet);
        }
        var (before, begun) = (GC.GetAllocatedBytesForCurrentThread(), Stopwatch.GetTimestamp());
        while (source.TryRead(out var packet))
        {
            scan.Take(in packet);
        }
        scan.End();
        var took = Stopwatch.GetElapsedTime(begun);
        return scan.Probes == probes && scan.Replies == probes
            ? (GC.GetAllocatedBytesForCurrentThread() - before, took)
            : throw new InvalidOperationException($"{scan.Probes} probes and {scan.Replies} replies were found, not {probes} each");
    }
}
