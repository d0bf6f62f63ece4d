using System.CommandLine;
using System.Net;
using Keepalive.Probes.Pages;
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
        var report = ReportOption.Create("Also write a page with every packet: one file, for a browser");
        var command = new Command(Name, "Show the outage and its cure on real sockets, in under a minute") { agent, noAgent, report };
        command.SetAction(result => Execute(
            result.GetValue(noAgent) ? "" : Path.GetFullPath(result.GetValue(agent)!), result.GetValue(report) is { } file ? Path.GetFullPath(file) : ""));
        return command;
    }

    public static IEnumerable<Command> CreateHidden()
    {
        var agent = new Argument<string>("agent");
        var directory = new Argument<string>("directory");
        var report = new Argument<string>("report");
        var inside = new Command(Inside) { agent, report, directory };
        inside.SetAction((result, _) => InSandbox.GuardAsync(
            result.GetValue(directory)!,
            _ => DemoRun.ExecuteAsync(Given(result.GetValue(agent)), result.GetValue(directory)!, Console.Out, Given(result.GetValue(report)))));

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

    private static int Execute(string agent, string report) =>
        AgentProgram.Missing(agent) is { } missing ? Complaint.Say(ExitCodes.Failed, missing)
        : report.Length > 0 && ReportOption.Unusable(report) is { } unusable ? Complaint.Say(ExitCodes.Failed, unusable)
        : InSandbox.Run(Name, directory => [Inside, agent, report, directory]);

    private static string? Given(string? argument) => argument is { Length: > 0 } ? argument : null;
}
