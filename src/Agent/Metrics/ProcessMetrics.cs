using System.Globalization;

namespace Keepalive.Agent.Metrics;

/// <summary>The agent's own process, under the names that Prometheus clients give these metrics.</summary>
internal sealed class ProcessMetrics
{
    private const double TicksPerSecond = 100;   // USER_HZ, part of the kernel's interface

    private double? _bootedAt;
    private double? _descriptorLimit;

    public void Write(MetricText text)
    {
        var stat = File.ReadAllText("/proc/self/stat");
        // The name may hold spaces; what follows the last ")" is field 3.
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        text.Single(MetricCatalogue.ProcessCpuSecondsTotal, "counter", (Number(fields[11]) + Number(fields[12])) / TicksPerSecond);
        text.Single(MetricCatalogue.ProcessStartTimeSeconds, "gauge", (_bootedAt ??= BootedAt()) + (Number(fields[19]) / TicksPerSecond));
        text.Single(MetricCatalogue.ProcessVirtualMemoryBytes, "gauge", Number(fields[20]));
        text.Single(MetricCatalogue.ProcessResidentMemoryBytes, "gauge", Number(fields[21]) * Environment.SystemPageSize);
        text.Single(MetricCatalogue.ProcessThreads, "gauge", Number(fields[17]));
        text.Single(MetricCatalogue.ProcessOpenFds, "gauge", Directory.EnumerateFileSystemEntries("/proc/self/fd").Count());
        text.Single(MetricCatalogue.ProcessMaxFds, "gauge", _descriptorLimit ??= DescriptorLimit());
    }

    private static double BootedAt() => Number(Word(File.ReadLines("/proc/stat"), "btime", 1));

    private static double DescriptorLimit() =>
        Word(File.ReadLines("/proc/self/limits"), "Max open files", 3) is var limit && limit == "unlimited" ? double.PositiveInfinity : Number(limit);

    private static string Word(IEnumerable<string> lines, string start, int word) =>
        lines.First(line => line.StartsWith(start, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[word];

    private static double Number(string text) => double.Parse(text, NumberStyles.Integer, CultureInfo.InvariantCulture);
}
