using Keepalive.Testbed;

namespace Keepalive.Simulator.Tests;

/// <summary>Runs the two programs as a user without privileges.</summary>
internal static class OrdinaryUser
{
    private const int Nobody = 65534;

    /// <summary>The prefix of a command line.</summary>
    public static IReadOnlyList<string> Words { get; } =
        ["setpriv", "--reuid", $"{Nobody}", "--regid", $"{Nobody}", "--clear-groups", "--pdeathsig", "KILL", "--"];

    /// <summary>Whether this machine allows an ordinary user a user namespace with all the others inside.</summary>
    public static bool MayHaveNamespaces() =>
        Command.Try([.. Words, "unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--mount-proc", "true"]).ExitCode == 0;

    /// <summary>Copies the programs to a directory that every user can read; the checkout may be readable only by root.</summary>
    /// <param name="directory">The target; it is opened to all users.</param>
    public static (string Simulator, string Agent) Copy(string directory)
    {
        Command.Run("chmod", "755", directory);
        return (CopyProgram(ProgramRun.SimulatorPath, "simulator"), CopyProgram(ProgramRun.AgentPath, "agent"));

        string CopyProgram(string program, string name)
        {
            var target = Path.Combine(directory, name);
            Command.Run("cp", "-r", Path.GetDirectoryName(program)!, target);
            Command.Run("chmod", "-R", "a+rX", target);
            return Path.Combine(target, Path.GetFileName(program));
        }
    }
}
