using System.Text.Json;
using Keepalive.Agent.Reports;

namespace Keepalive.Agent.Top;

/// <summary>Prints the view once, with all rows, for a pipe or a file.</summary>
internal static class TopOnce
{
    private const int DefaultWidth = 120;
    private const int LeastWidth = 60;

    public static int Run(TopOptions options, OutputFormat format, TimeProvider time, CancellationToken stop)
    {
        using var watch = new NodeWatch(options, time);
        if (watch.Missing(stop) is { Count: > 0 } missing)
        {
            foreach (var line in missing)
            {
                Complaint.Say(line);
            }
            return ExitCodes.NotPermitted;
        }
        var snapshot = watch.Read(null, stop);
        if (format == OutputFormat.Json)
        {
            Console.Out.WriteLine(JsonSerializer.Serialize(snapshot.Overview, OverviewJsonContext.Readable.NodeOverview));
            return ExitCodes.Done;
        }
        var model = new TopModel();
        model.Show(snapshot);
        foreach (var line in TopFrame.Draw(model, Width(), rows: null))
        {
            Console.Out.WriteLine(line.ToString().TrimEnd());
        }
        return ExitCodes.Done;
    }

    private static int Width() => Console.IsOutputRedirected
        ? int.TryParse(Environment.GetEnvironmentVariable("COLUMNS"), out var given) ? Math.Max(LeastWidth, given) : DefaultWidth
        : Math.Max(LeastWidth, Console.WindowWidth);
}
