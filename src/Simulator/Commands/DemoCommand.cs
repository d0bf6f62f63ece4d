using System.CommandLine;
using Keepalive.Simulator.Demo;
using Keepalive.Simulator.Lab;

namespace Keepalive.Simulator.Commands;

/// <summary><c>keepalive-sim demo</c>, and the hidden command it starts itself with inside its sandbox.</summary>
internal static class DemoCommand
{
    private const string Inside = "demo-inside";

    public static Command Create()
    {
        var agent = new Option<string>("--agent")
        {
            Description = "The agent to show",
            HelpName = "PATH",
            DefaultValueFactory = _ => Path.Combine(AppContext.BaseDirectory, "keepalive-agent"),
        };
        var command = new Command("demo", "Run the agent on a client and a server that know nothing of keepalive, and show what changes")
        {
            agent,
        };
        command.SetAction(result => Execute(result.GetValue(agent)!));
        return command;
    }

    public static Command CreateInside()
    {
        var agent = new Argument<string>("agent");
        var directory = new Argument<string>("directory");
        var command = new Command(Inside) { agent, directory };
        command.Hidden = true;
        command.SetAction((result, _) => ExecuteInside(result.GetValue(agent)!, result.GetValue(directory)!));
        return command;
    }

    private static int Execute(string agent)
    {
        agent = Path.GetFullPath(agent);
        if (!File.Exists(agent))
        {
            return Complain(ExitCodes.Failed, $"there is no agent at {agent}. Run make build, or name it with --agent.");
        }
        if (Tool.Missing(name => Tool.Find(name) is not null) is { Count: > 0 } missing)
        {
            missing.ForEach(line => Complain(ExitCodes.NotPermitted, line));
            return ExitCodes.NotPermitted;
        }
        if (Sandbox.TryFind(out var reason) is not { } sandbox)
        {
            return Complain(ExitCodes.NotPermitted, reason);
        }
        var directory = Directory.CreateTempSubdirectory("keepalive-demo-").FullName;
        try
        {
            var exitCode = sandbox.Run(Self.Command(Inside, agent, directory));
            return exitCode is 128 + 9 ? Complain(ExitCodes.Failed, "the demo was killed") : exitCode;
        }
        finally
        {
            Sandbox.Remove(directory);
        }
    }

    private static async Task<int> ExecuteInside(string agent, string directory)
    {
        Sandbox.EndWithStarter(directory);
        try
        {
            return await DemoRun.ExecuteAsync(agent, directory, Console.Out).ConfigureAwait(false);
        }
        catch (LabException e)
        {
            return Complain(ExitCodes.Failed, e.Message);
        }
    }

    private static int Complain(int exitCode, string message)
    {
        Console.Error.WriteLine($"keepalive-sim: {message}");
        return exitCode;
    }
}
