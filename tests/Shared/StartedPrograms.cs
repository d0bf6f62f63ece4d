using System.Collections.Concurrent;

namespace Keepalive.Testbed;

/// <summary>The programs that each test has started and not disposed of: a wait for what they do is in vain once they have ended.</summary>
internal static class StartedPrograms
{
    private static readonly ConcurrentDictionary<ProgramRun, string> s_owners = new();

    /// <summary>Names the running test, and what else it runs in; those that run at the same time must have different names.</summary>
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

    /// <summary>One of the current test's programs that has ended though nobody has asked it to; null where there is none.</summary>
    public static ProgramRun? EndedUnasked() => Current.FirstOrDefault(run => run.HasEndedUnasked);

    /// <summary>The last lines that each of the current test's programs has written.</summary>
    public static string Tails() => string.Concat(Current.Select(run => "\n" + run.Tail()));
}
