using System.Collections.Concurrent;

namespace Keepalive.Testbed;

/// <summary>The programs that each test has started and not disposed of. A wait for their effect fails early once they have
/// ended.</summary>
internal static class StartedPrograms
{
    private static readonly ConcurrentDictionary<ProgramRun, string> s_owners = new();

    /// <summary>Names the running test and its class. Tests that run at the same time must have different names.</summary>
    public static Func<IReadOnlyList<string>> Running { get; set; } = () => [""];

    /// <summary>The current test's programs.</summary>
    public static IReadOnlyList<ProgramRun> Current
    {
        get
        {
            var running = Running();
            return [.. s_owners.Where(owner => running.Contains(owner.Value)).Select(owner => owner.Key)];
        }
    }

    public static void Add(ProgramRun run) => s_owners[run] = Running()[0];

    public static void Remove(ProgramRun run) => s_owners.TryRemove(run, out _);

    /// <summary>A program of the current test that has exited without the test's request; null if there is none.</summary>
    public static ProgramRun? EndedUnasked() => Current.FirstOrDefault(run => run.HasEndedUnasked);

    /// <summary>The last output lines of each program of the current test.</summary>
    public static string Tails() => string.Concat(Current.Select(run => "\n" + run.Tail()));
}
