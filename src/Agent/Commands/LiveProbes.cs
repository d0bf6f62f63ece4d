using Keepalive.Agent.Capture;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Support;
using Keepalive.Linux.Capture;
using Keepalive.Linux.Files;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Capture;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Reports;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent probes --interface NAME</c>: captures until told to stop, shows what it finds and, with <c>--write</c>, keeps the packets.</summary>
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
            // Not before all else is well: what is in the file is lost.
            using var copy = request.File is null ? null : CaptureCopy.Create(request.File, capture.Link, stop.Token);
            if (copy is { Failure: { } failure })
            {
                return Complaint.Say(stop.Token.IsCancellationRequested ? stop.ExitCode : ExitCodes.Failed, failure);
            }
            using var live = new LiveCapture();
            live.Add(capture, scope: 0);
            return Show(live, capture.Name, copy, report, output, stop.Token);
        }
    }

    /// <summary>What of an expression tells of keepalive; an expression that means nothing by itself is not put into another.</summary>
    private static void SetFilter(PcapCapture capture, string? expression)
    {
        if (expression is not null)
        {
            capture.SetFilter(expression);
        }
        // "vlan" and "mpls" move the headers that what follows them looks at (pcap-filter(7)).
        capture.SetFilter(expression is null ? CaptureFilter.Everything : $"({expression}) and ({CaptureFilter.Everything})");
    }

    private static int Show(LiveCapture live, string name, CaptureCopy? copy, ProbeReport report, StandardOutputStream output, CancellationToken stop)
    {
        Complaint.Say($"capturing on {name}; Ctrl-C ends it");
        var scan = new ProbeScan(report);
        var problem = Follow(live, scan, copy, report, output, stop);
        scan.End();
        report.Summarize(scan, live.Dropped());
        report.Flush();
        return problem is null ? ExitCodes.Done : Complaint.Say(ExitCodes.Failed, problem);
    }

    /// <summary>Takes packets as they come until told to stop, the interface goes away, or they cannot be kept any more; returns how it ended then.</summary>
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
                    scan.End();   // what waits for an answer might wait until the machine's clock has caught up
                }
                while (!stop.IsCancellationRequested && live.TryRead(out var packet))
                {
                    scan.Take(in packet);
                    copy?.Add(in packet);
                }
                // By the clock here, too: a probe without an answer is not to wait for the next packet.
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

    /// <param name="Interface">Where to capture.</param>
    /// <param name="Filter">What is wanted, in the language of pcap-filter(7); null is everything.</param>
    /// <param name="File">Where to keep the packets; null is nowhere.</param>
    internal sealed record Request(string Interface, string? Filter, string? File);
}
