using Keepalive.Linux;
using Keepalive.Simulator.Lab;

namespace Keepalive.Simulator.Commands;

/// <summary>Commands that start this program again inside a sandbox, and what both of the two processes do for that.</summary>
internal static class InSandbox
{
    /// <summary>In the directory: the inner process has come to an end by itself.</summary>
    private const string EndMark = "ended";

    /// <summary>The outer process: runs this program inside, with a directory that lasts as long.</summary>
    /// <param name="what">Its name in messages and in the directory's name.</param>
    /// <param name="arguments">The inner program's arguments.</param>
    /// <returns>The exit code.</returns>
    public static int Run(string what, Func<string, string[]> arguments)
    {
        if (Tool.Missing(name => Tool.Find(name) is not null) is { Count: > 0 } missing)
        {
            missing.ForEach(line => Complaint.Say(ExitCodes.NotPermitted, line));
            return ExitCodes.NotPermitted;
        }
        if (Limits.TooFewFiles() is { } tooFew)
        {
            return Complaint.Say(ExitCodes.NotPermitted, tooFew);
        }
        if (Sandbox.TryFind(what, out var reason) is not { } sandbox)
        {
            return Complaint.Say(ExitCodes.NotPermitted, reason);
        }
        var directory = Sandbox.CreateDirectory(what);
        try
        {
            var (exitCode, wasStopped) = sandbox.Run(Self.Command(arguments(directory)));
            // A client that was killed ends with 128 + 9, too. Where PID 1 was, unshare may end with 1: it tries to kill itself likewise.
            var hasEnded = wasStopped || exitCode == ExitCodes.Failed || File.Exists(Path.Combine(directory, EndMark));
            return hasEnded ? exitCode : Complaint.Say(ExitCodes.Failed, $"the {what} was killed");
        }
        finally
        {
            Sandbox.Remove(directory);
        }
    }

    /// <summary>The inner process: does its work, and ends when the outer one does.</summary>
    /// <param name="directory">The directory.</param>
    /// <param name="work">It; told first what to hand over that has to be done when the outer one ends.</param>
    /// <returns>The exit code.</returns>
    public static async Task<int> GuardAsync(string directory, Func<Action<Action>, Task<int>> work)
    {
        if (!Sandbox.IsInside(directory))
        {
            return Complaint.Say(ExitCodes.Usage, "this command is what keepalive-sim starts itself with; start 'keepalive-sim lab' or 'keepalive-sim demo' instead");
        }
        Action? onEnd = null;
        Sandbox.EndWithStarter(directory, () => Volatile.Read(ref onEnd)?.Invoke());
        int exitCode;
        try
        {
            exitCode = await work(action => Volatile.Write(ref onEnd, action)).ConfigureAwait(false);
        }
        catch (Exception e) when (e is LabException or LinuxException or IOException or UnauthorizedAccessException)
        {
            exitCode = Complaint.Say(ExitCodes.Failed, e.Message);
        }
        try
        {
            await File.WriteAllTextAsync(Path.Combine(directory, EndMark), "").ConfigureAwait(false);
        }
        catch (DirectoryNotFoundException)
        {
            // Told to end at the same moment, as by a terminal's interrupt, which also ends the client: the directory is removed already.
        }
        return exitCode;
    }
}
