using Keepalive.Agent.Capture;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Support;
using Keepalive.Linux.Capture;
using Keepalive.Linux.Files;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Capture;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Pages;
using Keepalive.Probes.Reports;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent probes --interface NAME</c>: captures until it is stopped, and shows the probes. With <c>--write</c>, it
/// also writes the packets to a file.</summary>
internal static class LiveProbes
{
    public static int Run(Request request, ProbeReport report, StandardOutputStream output, Interruption stop)
    {
        if (CapturePrivileges.Missing() is { } missing)
        {
            return Complaint.Say(ExitCodes.NotPermitted, missing);
        }
        PcapCapture capture;
        try
        {
            capture = PcapCapture.Open(request.Interface);
        }
        catch (PcapException e)
        {
            return Complaint.Say(e.IsPermission ? ExitCodes.NotPermitted : e.IsInterface ? ExitCodes.Usage : ExitCodes.Failed, $"--interface {e.Message}");
        }
        using (capture)
        {
            if (!capture.Link.IsKnown())
            {
                return Complaint.Say(ExitCodes.Usage, $"--interface {capture.Name}: {CaptureFile.UnknownLink(capture.Link)}");
            }
            try
            {
                SetFilter(capture, request.Filter);
            }
            catch (PcapException e)
            {
                return Complaint.Say(ExitCodes.Usage, $"--filter: {e.Message}");
            }
            // Last, after everything else succeeded: this empties an existing file.
            using var copy = request.File is null ? null : CaptureCopy.Create(request.File, capture.Link, stop.Token);
            if (copy is { Failure: { } failure })
            {
                return Complaint.Say(stop.Token.IsCancellationRequested ? stop.ExitCode : ExitCodes.Failed, failure);
            }
            using var live = new LiveCapture();
            live.Add(capture, scope: 0);
            return Show(live, capture.Name, copy, request.Page, report, output, stop.Token);
        }
    }

    /// <summary>Limits the capture to packets that match an expression and show keepalive. An expression that is invalid by itself is
    /// refused before it is combined.</summary>
    private static void SetFilter(PcapCapture capture, string? expression)
    {
        if (expression is not null)
        {
            capture.SetFilter(expression);
        }
        // "vlan" and "mpls" move the offsets of everything after them (pcap-filter(7)). The second filter must look at the same headers as
        // the expression, so it comes last.
        capture.SetFilter(expression is null ? CaptureFilter.Everything : $"({expression}) and ({CaptureFilter.Everything})");
    }

    private static int Show(LiveCapture live, string name, CaptureCopy? copy, string? page, ProbeReport report, StandardOutputStream output, CancellationToken stop)
    {
        Complaint.Say($"capturing on {name}; Ctrl-C ends it");
        var packets = page is null ? null : new CapturedPackets();
        var scan = new ProbeScan(report) { Watch = packets };
        var problem = Follow(live, scan, copy, report, output, stop);
        scan.End();
        report.Summarize(scan, live.Dropped());
        report.Flush();
        problem ??= packets is null ? null : ReportOption.Write(page!, packets.Complete(scan, name));
        return problem is null ? ExitCodes.Done : Complaint.Say(ExitCodes.Failed, problem);
    }

    /// <summary>Reads packets until it is stopped, the interface is gone, or the file cannot be written. Returns the problem that ended it;
    /// null for none.</summary>
    private static string? Follow(LiveCapture live, ProbeScan scan, CaptureCopy? copy, ProbeReport report, StandardOutputStream output, CancellationToken stop)
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
                    scan.End();   // otherwise probes might wait for answers until the machine's clock has caught up
                }
                while (!stop.IsCancellationRequested && live.TryRead(out var packet))
                {
                    scan.Take(in packet);
                    copy?.Add(in packet);
                }
                // By the clock, too: an unanswered probe must not wait for the next packet.
                scan.Release((DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100);
                report.Flush();
                output.ThrowIfAbandoned();
                copy?.Flush();
                if (copy is { Failure: { } failure })
                {
                    return failure;
                }
            }
            return null;
        }
        catch (InterfaceGoneException e)
        {
            copy?.Flush();
            return copy?.Failure ?? e.Message;
        }
    }

    /// <param name="Interface">The interface to capture on.</param>
    /// <param name="Filter">The expression that packets must match, in the language of pcap-filter(7); null for all packets.</param>
    /// <param name="File">The file to write the packets to; null for none.</param>
    /// <param name="Page">The file of the page with their pictures; null for none.</param>
    internal sealed record Request(string Interface, string? Filter, string? File, string? Page);
}
