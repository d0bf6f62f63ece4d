using System.CommandLine;
using System.Net;
using Keepalive.Simulator.Demo;

namespace Keepalive.Simulator.Commands;

/// <summary><c>keepalive-sim demo</c>, the hidden command it starts itself with inside its sandbox, and those of its programs.</summary>
internal static class DemoCommand
{
    private const string Name = "demo";
    private const string Inside = "demo-inside";

    public static Command Create()
    {
        var agent = AgentProgram.Create();
        var noAgent = new Option<bool>("--no-agent") { Description = "Leave the agent out, and see act 3 fail" };
        var command = new Command(Name, "Show the outage and its cure on real sockets, in under a minute") { agent, noAgent };
        command.SetAction(result => Execute(result.GetValue(noAgent) ? "" : Path.GetFullPath(result.GetValue(agent)!)));
        return command;
    }

    public static IEnumerable<Command> CreateHidden()
    {
        var agent = new Argument<string>("agent");
        var directory = new Argument<string>("directory");
        var inside = new Command(Inside) { agent, directory };
        inside.SetAction((result, _) => InSandbox.GuardAsync(
            result.GetValue(directory)!,
            _ => DemoRun.ExecuteAsync(result.GetValue(agent) is { Length: > 0 } path ? path : null, result.GetValue(directory)!, Console.Out)));

        var upstream = new Argument<string>("upstream");
        var proxy = new Command(Roles.Proxy) { upstream };
        proxy.SetAction((result, _) => new SidecarProxy(IPEndPoint.Parse(result.GetValue(upstream)!), Console.Out).RunAsync());
        var service = new Command(Roles.Service);
        service.SetAction((_, _) => RecommendationService.RunAsync(Console.Out));
        var client = new Command(Roles.Client);
        client.SetAction((_, _) => Demo.WebClient.RunAsync(Console.In, Console.Out));
        foreach (var command in new[] { inside, proxy, service, client })
        {
            command.Hidden = true;
            yield return command;
        }
    }

    private static int Execute(string agent) => AgentProgram.Missing(agent) is { } missing
        ? Complaint.Say(ExitCodes.Failed, missing)
        : InSandbox.Run(Name, directory => [Inside, agent, directory]);
}
