using System.CommandLine;
using Keepalive.Simulator.Lab;

namespace Keepalive.Simulator.Commands;

/// <summary>The two applications of the lab, as hidden commands: processes of their own that take orders on standard input.</summary>
internal static class LabCommands
{
    public const string Client = "lab-client";
    public const string Server = "lab-server";

    public static Command CreateClient()
    {
        var command = new Command(Client) { Hidden = true };
        command.SetAction((_, _) => LabClient.RunAsync(Console.In, Console.Out));
        return command;
    }

    public static Command CreateServer()
    {
        var command = new Command(Server) { Hidden = true };
        command.SetAction((_, _) => LabServer.RunAsync(Console.In, Console.Out));
        return command;
    }
}
