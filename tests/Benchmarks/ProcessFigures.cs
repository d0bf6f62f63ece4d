using System.Globalization;

namespace Keepalive.Benchmarks;

/// <summary>What /proc says a process has used.</summary>
internal sealed class ProcessFigures(int pid)
{
    private const double TicksPerSecond = 100;   // USER_HZ, part of the kernel's interface

    /// <summary>User and system time since it began.</summary>
    public TimeSpan Processor() => Processor($"/proc/{pid}/stat");

    /// <summary>The same by the names of its threads, the busiest first.</summary>
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
        // The name may hold spaces; what follows the last ")" is field 3.
        var fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
        return TimeSpan.FromSeconds((long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / TicksPerSecond);
    }
}
