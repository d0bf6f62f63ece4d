using System.CommandLine;
using Keepalive.Agent.Reports;
using Keepalive.Linux;
using Keepalive.Linux.Files;
using Keepalive.Probes.Capture;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Pages;
using Keepalive.Probes.Reports;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent probes FILE | --interface NAME</c>: the keepalive probes in a capture, and their replies.
/// <see cref="LiveProbes"/> does the capture on an interface.</summary>
internal static class ProbesCommand
{
    public static Command Create()
    {
        var file = new Argument<string?>("FILE")
        {
            Description = "A pcap or pcapng file, or - for standard input",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var link = new Option<string?>("--interface", "-i") { Description = "Capture on this network interface, until Ctrl-C", HelpName = "NAME" };
        var filter = new Option<string?>("--filter") { Description = "With --interface: only packets that match this pcap filter", HelpName = "EXPR" };
        var write = new Option<string?>("--write") { Description = "With --interface: also write the packets, cut after 192 bytes", HelpName = "FILE" };
        var summary = new Option<bool>("--summary") { Description = "Only the totals: no line for each probe, no connections" };
        var page = ReportOption.Create("Also write a page with the packets of the connections: one file, for a browser");
        var output = OutputOption.Create();
        var command = new Command("probes", "Find keepalive probes and their replies in a capture, or on an interface") { file, link, filter, write, summary, page, output };
        command.AddRule(result =>
        {
            switch (result.GetValue(file), result.GetValue(link))
            {
                case ("", _):
                    result.AddError("FILE is empty");
                    break;
                case (null, null):
                    result.AddError("name a capture file, or an interface with --interface");
                    break;
                case (not null, not null):
                    result.AddError("name a capture file, or an interface with --interface, not both");
                    break;
            }
            if (result.GetValue(link) == "any")
            {
                result.AddError("--interface takes one interface: on 'any' each packet comes once from every interface it passes");
            }
            foreach (var option in new[] { filter, write })
            {
                if (result.GetValue(option) is not { } value)
                {
                    continue;
                }
                if (result.GetValue(link) is null)
                {
                    result.AddError($"{option.Name} needs --interface");
                }
                if (string.IsNullOrWhiteSpace(value))
                {
                    result.AddError($"{option.Name} is empty");
                }
            }
            if (result.GetValue(write) == "-")
            {
                result.AddError("--write takes a file, not -");
            }
        });
        command.SetAction(result =>
        {
            if (result.GetValue(page) is { } picture && ReportOption.Unusable(picture) is { } unusable)
            {
                return Complaint.Say(ExitCodes.Failed, unusable);
            }
            using var stop = new Interruption();
            using var standard = new StandardOutputStream();
            var report = ProbeReport.Create(standard, result.GetValue(output) == OutputFormat.Json, result.GetValue(summary));
            return result.GetValue(link) is { } name
                ? LiveProbes.Run(new LiveProbes.Request(name, result.GetValue(filter), result.GetValue(write), result.GetValue(page)), report, standard, stop)
                : FromFile(result.GetValue(file)!, result.GetValue(page), report, standard, stop);
        });
        return command;
    }

    private static int FromFile(string path, string? page, ProbeReport report, StandardOutputStream output, Interruption stop)
    {
        var name = path == "-" ? "standard input" : path;
        using var printing = new ReportThread(report);
        var packets = page is null ? null : new CapturedPackets();
        var scan = new ProbeScan(report.IsSummary ? report : printing) { Watch = packets };
        string? problem = null;
        var exitCode = ExitCodes.InvalidInput;
        try
        {
            using var input = path == "-" ? IncomingStream.Standard(Wait) : IncomingStream.Open(path, Wait);
            scan.IsWhole = input.CanSeek;
            using var source = CaptureFile.Open(input);
            problem = Read(source, scan, Flush, input is FileStream file ? new Progress(file) : null, stop.Token) ?? Incomplete(scan);
        }
        catch (LinuxException e) when (e.Call == "open")
        {
            Complaint.Say($"{name}: {Unopened(e)}");
            return ExitCodes.InvalidInput;
        }
        catch (OperationCanceledException)
        {
            (problem, exitCode) = ($"interrupted after {scan.Packets} {(scan.Packets == 1 ? "packet" : "packets")}", stop.ExitCode);
        }
        catch (Exception e) when (e is CaptureException or IOException)
        {
            problem = scan.Packets == 0 ? e.Message : $"{e.Message}; packets read before: {scan.Packets}";
        }
        scan.End();
        printing.Drain();
        report.Summarize(scan, dropped: null);
        report.Flush();
        var unwritten = packets is null ? null : ReportOption.Write(page!, packets.Complete(scan, path == "-" ? name : Path.GetFileName(path)));
        if (problem is not null)
        {
            Complaint.Say($"{name}: {problem}");
        }
        return unwritten is not null ? Complaint.Say(ExitCodes.Failed, unwritten) : problem is not null ? exitCode : ExitCodes.Done;

        // Called while no more input is available.
        void Wait()
        {
            stop.Token.ThrowIfCancellationRequested();
            Flush();
            output.ThrowIfAbandoned();
        }

        void Flush()
        {
            printing.Drain();
            report.Flush();
        }
    }

    /// <summary>Reads to the end, or until reading fails; calls <paramref name="flush"/> before progress is shown. Returns a description of the packets that were skipped; null if there are
    /// none.</summary>
    private static string? Read(IPacketSource source, ProbeScan scan, Action flush, Progress? progress, CancellationToken stop)
    {
        const int look = 4096;
        try
        {
            while (scan.Take(source, look))
            {
                stop.ThrowIfCancellationRequested();
                if (progress is { IsDue: true })
                {
                    progress.Clear();
                    flush();
                    progress.Show(scan.Packets);
                }
            }
            return source is PcapNgFile { Unknown: > 0 } other ? $"{other.FirstUnknown}; packets left out for that: {other.Unknown}" : null;
        }
        finally
        {
            progress?.Clear();
        }
    }

    private static string Unopened(LinuxException e) => e.Errno switch
    {
        Errno.ENOENT => "there is no such file",
        Errno.EISDIR => "it is a directory",
        Errno.EACCES or Errno.EPERM => "it may not be read",
        _ => e.Message,
    };

    private static string? Incomplete(ProbeScan scan)
    {
        var (number, captured, onWire) = scan.FirstTruncated;
        return scan.Truncated == 0
            ? null
            : $"packet {number}: {captured} of its {onWire} bytes were captured, too few to tell whether and what TCP it is; packets like that: "
                + $"{scan.Truncated}. Capture whole headers: 192 bytes are enough (tcpdump -s 192)";
    }
}
