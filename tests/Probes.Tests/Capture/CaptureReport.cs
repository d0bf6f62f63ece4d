using System.Text;
using Keepalive.Probes.Capture;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Reports;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>The output of <c>probes</c> about a capture file.</summary>
internal static class CaptureReport
{
    public static string Table(CaptureBytes file) => Of(file, json: false);

    public static string Json(CaptureBytes file) => Of(file, json: true);

    /// <summary>With <c>--summary</c>.</summary>
    public static string Summary(CaptureBytes file, bool json) => Of(file, json, isSummary: true);

    private static string Of(CaptureBytes file, bool json, bool isSummary = false)
    {
        using var output = new MemoryStream();
        var report = ProbeReport.Create(output, json, isSummary);
        var scan = new ProbeScan(report) { IsWhole = true };
        using var source = CaptureFile.Open(new MemoryStream(file.ToArray()));
        while (source.TryRead(out var packet))
        {
            scan.Take(in packet);
        }
        scan.End();
        report.Summarize(scan, dropped: null);
        report.Flush();
        return Encoding.UTF8.GetString(output.ToArray());
    }
}
