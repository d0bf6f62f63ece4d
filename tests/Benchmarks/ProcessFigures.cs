using System.Globalization;

namespace Keepalive.Benchmarks;

/// <summary>A process's memory and processor time from /proc.</summary>
internal sealed class ProcessFigures(int pid)
{
    private const double TicksPerSecond = 100;   // USER_HZ, part of the kernel's interface

    /// <summary>User and system time since the process started.</summary>
    public TimeSpan Processor() => Processor($"/proc/{pid}/stat");

    /// <summary>The same by thread name, the busiest first.</summary>
    public IEnumerable<(string Thread, TimeSpan Time)> ByThread() =>
        Directory.GetDirectories($"/proc/{pid}/task")
            .Select(task => (Thread: File.ReadAllText($"{task}/comm").Trim(), Time: Processor($"{task}/stat")))
            .OrderByDescending(thread => thread.Time);

    /// <summary>The sum of some lines of /proc/PID/status.</summary>
    public double Megabytes(params string[] names) =>
        File.ReadLines($"/proc/{pid}/status")
            .Where(line => names.Contains(line[..line.IndexOf(':', StringComparison.Ordinal)]))
            .Sum(line => double.Parse(line.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture)) / 1024;

    private static TimeSpan Processor(string path)
    {
        var text = File.ReadAllText(path);
        // The name may contain spaces; field 3 follows the last ")".
        var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
        return TimeSpan.FromSeconds((long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / TicksPerSecond);
    }
}
