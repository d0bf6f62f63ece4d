using System.CommandLine;
using Keepalive.Agent.Capture;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Support;
using Keepalive.Linux;
using Keepalive.Linux.Capture;
using Keepalive.Linux.Files;
using Keepalive.Probes.Capture;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Reports;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent probes FILE | --interface NAME</c>: the keepalive probes in a capture, and what answers them.</summary>
internal static class ProbesCommand
{
    public static Command Create()
    {
        var file = new Argument<string?>("FILE")
        {
            Description = "A capture, pcap or pcapng; - reads it from standard input",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var link = new Option<string?>("--interface", "-i") { Description = "Capture on this network interface, until Ctrl-C", HelpName = "NAME" };
        var output = OutputOption.Create();
        var command = new Command("probes", "Find keepalive probes and their replies in a capture file, or live on an interface") { file, link, output };
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
        });
        command.SetAction(result =>
        {
            using var stop = new Interruption();
            using var standard = new StandardOutputStream();
            var report = ProbeReport.Create(standard, result.GetValue(output) == OutputFormat.Json);
            return result.GetValue(link) is { } name
                ? FromInterface(name, report, standard, stop.Token)
                : FromFile(result.GetValue(file)!, report, standard, stop);
        });
        return command;
    }

    private static int FromFile(string path, ProbeReport report, StandardOutputStream output, Interruption stop)
    {
        var name = path == "-" ? "standard input" : path;
        var scan = new ProbeScan(report);
        string? problem = null;
        var exitCode = ExitCodes.InvalidInput;
        try
        {
            using var input = path == "-" ? IncomingStream.Standard(Wait) : IncomingStream.Open(path, Wait);
            using var source = CaptureFile.Open(input);
            problem = Read(source, scan, report, input is FileStream file ? new Progress(file) : null, stop.Token) ?? Incomplete(scan);
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
        report.Summarize(scan, dropped: null);
        report.Flush();
        if (problem is not null)
        {
            Complaint.Say($"{name}: {problem}");
            return exitCode;
        }
        return ExitCodes.Done;

        // Nothing more is at hand for now.
        void Wait()
        {
            stop.Token.ThrowIfCancellationRequested();
            report.Flush();
            output.ThrowIfAbandoned();
        }
    }

    /// <summary>Reads to the end, or to where it cannot go on; returns what of it is not known.</summary>
    private static string? Read(IPacketSource source, ProbeScan scan, ProbeReport report, Progress? progress, CancellationToken stop)
    {
        const int look = 4096;
        try
        {
            while (source.TryRead(out var packet))
            {
                scan.Take(in packet);
                stop.ThrowIfCancellationRequested();
                if (scan.Packets % look == 0 && progress is { IsDue: true })
                {
                    progress.Clear();
                    report.Flush();
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

    private static int FromInterface(string name, ProbeReport report, StandardOutputStream output, CancellationToken stop)
    {
        if (CapturePrivileges.Missing() is { } missing)
        {
            Complaint.Say(missing);
            return ExitCodes.NotPermitted;
        }
        PcapCapture capture;
        try
        {
            capture = PcapCapture.Open(name, CaptureFilter.Everything);
        }
        catch (PcapException e)
        {
            Complaint.Say($"--interface {e.Message}");
            return e.IsPermission ? ExitCodes.NotPermitted : e.IsInterface ? ExitCodes.Usage : ExitCodes.Failed;
        }
        using var live = new LiveCapture();
        using (capture)
        {
            live.Add(capture, scope: 0);
            return Live(live, name, report, output, stop);
        }
    }

    private static int Live(LiveCapture live, string name, ProbeReport report, StandardOutputStream output, CancellationToken stop)
    {
        Complaint.Say($"capturing on {name}; Ctrl-C ends it");
        var scan = new ProbeScan(report);
        var problem = Follow(live, scan, report, output, stop);
        scan.End();
        report.Summarize(scan, live.Dropped());
        report.Flush();
        if (problem is not null)
        {
            Complaint.Say(problem);
        }
        return problem is null ? ExitCodes.Done : ExitCodes.Failed;
    }

    /// <summary>Takes packets as they come until told to stop, or the interface goes away; returns how it ended then.</summary>
    private static string? Follow(LiveCapture live, ProbeScan scan, ProbeReport report, StandardOutputStream output, CancellationToken stop)
    {
        const int wait = 100;
        var clock = new SteadyClock(TimeProvider.System);
        try
        {
            while (!stop.IsCancellationRequested)
            {
                live.Wait(wait);
                if (clock.Look())
                {
                    scan.End();   // what waits for an answer might wait until the machine's clock has caught up
                }
                while (!stop.IsCancellationRequested && live.TryRead(out var packet))
                {
                    scan.Take(in packet);
                }
                // By the clock here, too: a probe without an answer is not to wait for the next packet.
                scan.Release((DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100);
                report.Flush();
                output.ThrowIfAbandoned();
            }
            return null;
        }
        catch (InterfaceGoneException e)
        {
            return e.Message;
        }
    }

    private static string? Incomplete(ProbeScan scan)
    {
        var (number, captured, onWire) = scan.FirstTruncated;
        return scan.Truncated == 0
            ? null
            : $"packet {number}: {captured} of its {onWire} bytes were captured, too few to tell whether and what TCP it is; packets like that: "
                + $"{scan.Truncated}. Capture whole headers: 192 bytes are enough (tcpdump -s 192)";
    }
}
