using System.Globalization;
using Prometheus;

namespace Keepalive.Agent.Metrics;

/// <summary>The agent's own process, under the names that Prometheus clients give these metrics.</summary>
internal sealed class ProcessCollector(MetricRegistry registry) : IMetricsCollector
{
    private const double TicksPerSecond = 100;   // USER_HZ, part of the kernel's interface

    private readonly Counter _cpu = registry.Counter(MetricCatalogue.ProcessCpuSecondsTotal);
    private readonly Gauge _startTime = registry.Gauge(MetricCatalogue.ProcessStartTimeSeconds);
    private readonly Gauge _virtualMemory = registry.Gauge(MetricCatalogue.ProcessVirtualMemoryBytes);
    private readonly Gauge _residentMemory = registry.Gauge(MetricCatalogue.ProcessResidentMemoryBytes);
    private readonly Gauge _threads = registry.Gauge(MetricCatalogue.ProcessThreads);
    private readonly Gauge _openDescriptors = registry.Gauge(MetricCatalogue.ProcessOpenFds);
    private readonly Gauge _maxDescriptors = registry.Gauge(MetricCatalogue.ProcessMaxFds);
    private double? _bootedAt;
    private double? _descriptorLimit;

    public string Name => "process";

    public string? Collect()
    {
        var stat = File.ReadAllText("/proc/self/stat");
        // The name may hold spaces; what follows the last ")" is field 3.
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        _cpu.IncTo((Number(fields[11]) + Number(fields[12])) / TicksPerSecond);
        _startTime.Set((_bootedAt ??= BootedAt()) + (Number(fields[19]) / TicksPerSecond));
        _virtualMemory.Set(Number(fields[20]));
        _residentMemory.Set(Number(fields[21]) * Environment.SystemPageSize);
        _threads.Set(Number(fields[17]));
        _openDescriptors.Set(Directory.EnumerateFileSystemEntries("/proc/self/fd").Count());
        _maxDescriptors.Set(_descriptorLimit ??= DescriptorLimit());
        return null;
    }

    public void Withdraw()
    {
        foreach (var gauge in (ReadOnlySpan<Gauge>)[_startTime, _virtualMemory, _residentMemory, _threads, _openDescriptors, _maxDescriptors])
        {
            gauge.Unpublish();
        }
    }

    private static double BootedAt() => Number(Word(File.ReadLines("/proc/stat"), "btime", 1));

    private static double DescriptorLimit() =>
        Word(File.ReadLines("/proc/self/limits"), "Max open files", 3) is var limit && limit == "unlimited" ? double.PositiveInfinity : Number(limit);

    private static string Word(IEnumerable<string> lines, string start, int word) =>
        lines.First(line => line.StartsWith(start, StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[word];

    private static double Number(string text) => double.Parse(text, NumberStyles.Integer, CultureInfo.InvariantCulture);
}
