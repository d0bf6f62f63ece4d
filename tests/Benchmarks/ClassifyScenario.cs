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
    private const int Rounds = 15;
    private const double GoalGrowth = 1.1;

    public static void Run()
    {
        if (LiveSupport.Missing("tshark", "tcpdump") is { } missing)
        {
            throw new InvalidOperationException(missing);
        }
        var file = Path.Combine(Workspace.Directory, "million.pcap");
        var (packets, probes) = CaptureOfProbes.Write(file, Packets);
        Report.Title($"{Name}: a capture of {packets:N0} packets, {probes:N0} probes and as many replies; {Rounds} rounds of each in turn");
        Beside(file, packets);
        Growth();
        Inside(file, packets, probes);
        Memory(file);
    }

    /// <summary>Each output, start included, beside tcpdump and tshark in the same round.</summary>
    private static void Beside(string file, long packets)
    {
        (string Name, string[] Options, double Wall, double Processor)[] outputs =
        [
            ("-o json", ["-o", "json"], 1.5, 2.5), ("as a table", [], 1.3, 2.5), ("--summary", ["--summary"], 1.0, 2.5),
        ];
        Series tshark = new(), tcpdump = new(), tcpdumpProcessor = new();
        var walls = Array.ConvertAll(outputs, static _ => new Series());
        var processors = Array.ConvertAll(outputs, static _ => new Series());
        for (var round = -1; round < Rounds; round++)
        {
            var ours = Array.ConvertAll(outputs, output => Timed([ProgramRun.AgentPath, "probes", file, .. output.Options]));
            var ofTcpdump = Timed(["tcpdump", "-r", file, "-w", "/dev/null"]);
            if (round < 0)
            {
                continue;
            }
            tshark.Add(Timed(["tshark", "-n", "-r", file, "-q", "-z", "io,stat,0,tcp.analysis.keep_alive,tcp.analysis.keep_alive_ack"]).Wall);
            tcpdump.Add(ofTcpdump.Wall);
            tcpdumpProcessor.Add(ofTcpdump.Processor);
            for (var i = 0; i < outputs.Length; i++)
            {
                walls[i].Add(ours[i].Wall);
                processors[i].Add(ours[i].Processor);
            }
        }
        Report.Line("tshark, both keep-alive filters", Rate(tshark, packets), "packets a ms");
        Report.Line("tcpdump -w /dev/null", Rate(tcpdump, packets), "packets a ms");
        for (var i = 0; i < outputs.Length; i++)
        {
            Report.Line($"keepalive-agent probes, {outputs[i].Name} > /dev/null", Rate(walls[i], packets), "packets a ms");
            Report.Goal("  time, beside tcpdump", walls[i].RelativeTo(tcpdump), outputs[i].Wall, "× tcpdump");
            Report.Goal("  processor time, beside tcpdump", processors[i].RelativeTo(tcpdumpProcessor), outputs[i].Processor, "× tcpdump");
        }
        Report.AtLeast("speed of -o json, beside tshark", tshark.RelativeTo(walls[0]), 40, "× tshark");
    }

    /// <summary>A sixteenth and a quarter of the packets, and all.</summary>
    private static void Growth()
    {
        foreach (var part in (int[])[16, 4, 1])
        {
            var file = Path.Combine(Workspace.Directory, $"part-{part}.pcap");
            var (packets, _) = CaptureOfProbes.Write(file, Packets / part);
            var each = new Series();
            for (var round = 0; round < Rounds; round++)
            {
                each.Add(Timed([ProgramRun.AgentPath, "probes", file, "-o", "json"]).Wall.TotalNanoseconds / packets);
            }
            Report.Line($"{packets:N0} packets, start included", each, "ns a packet");
            File.Delete(file);
        }
    }

    private static void Inside(string file, long packets, long probes)
    {
        var inside = new Series();
        var allocated = 0.0;
        for (var round = 0; round < 3; round++)
        {
            var (bytes, took) = InProcess(file, probes);
            inside.Add(packets / took.TotalMilliseconds);
            allocated = bytes;
        }
        Report.Line("reading, classifying and formatting on one thread, warm", inside, "packets a ms");
        Report.Goal("  allocated", allocated / packets, 0.01, string.Create(CultureInfo.InvariantCulture, $"{allocated / packets:0.0000}"), "bytes a packet");
    }

    private static Series Rate(Series took, long packets)
    {
        var all = new Series();
        for (var i = 0; i < took.Count; i++)
        {
            all.Add(packets);
        }
        return all.RelativeTo(took);
    }

    /// <summary>Wall and processor time of a program whose output is discarded, by the shell's own measurement.</summary>
    private static Cost Timed(string[] command)
    {
        var start = new ProcessStartInfo("bash", ["-c", "TIMEFORMAT='%3R %3U %3S'; exec 3>&2; { time \"$@\" > /dev/null 2> /dev/null 3>&-; } 2>&3", "bash", .. command])
        {
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        var text = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"{string.Join(' ', command)} ended with {process.ExitCode}");
        }
        var seconds = Array.ConvertAll(text.Trim().Split(' '), static word => double.Parse(word, CultureInfo.InvariantCulture));
        return new Cost(TimeSpan.FromSeconds(seconds[0]), TimeSpan.FromSeconds(seconds[1] + seconds[2]));
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
