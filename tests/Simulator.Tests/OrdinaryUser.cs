using Keepalive.Testbed;

namespace Keepalive.Simulator.Tests;

/// <summary>Runs the two programs as somebody without any privilege.</summary>
internal static class OrdinaryUser
{
    private const int Nobody = 65534;

    /// <summary>To be put in front of a command line.</summary>
    public static IReadOnlyList<string> Words { get; } =
        ["setpriv", "--reuid", $"{Nobody}", "--regid", $"{Nobody}", "--clear-groups", "--pdeathsig", "KILL", "--"];

    /// <summary>Whether this machine lets one have a user namespace, and all the others in it.</summary>
    public static bool MayHaveNamespaces() =>
        Command.Try([.. Words, "unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--mount-proc", "true"]).ExitCode == 0;

    /// <summary>Copies the programs to where anybody may look; the checkout may be where only root can.</summary>
    /// <param name="directory">Is opened to everybody.</param>
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
