using System.CommandLine;

namespace Keepalive.Simulator.Commands;

/// <summary>The option that says where the agent is.</summary>
internal static class AgentProgram
{
    public static Option<string> Create() => new("--agent-program")
    {
        Description = "The agent to run (default: the one beside this program)",
        HelpName = "PATH",
        DefaultValueFactory = _ => Path.Combine(AppContext.BaseDirectory, "keepalive-agent"),
    };

    /// <summary>Why it cannot be run, or null. No path at all is none that is missing.</summary>
    public static string? Missing(string path) => path.Length == 0 || File.Exists(path)
        ? null
        : $"there is no agent at {Path.GetFullPath(path)}. Run make build, or name it with --agent-program.";
}
