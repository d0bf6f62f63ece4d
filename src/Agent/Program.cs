using System.CommandLine;
using Keepalive.Agent.Commands;
using Keepalive.Agent.Running;
using Keepalive.Agent.Support;
using Keepalive.Linux.Files;

StandardStreams.Begin();
DescriptorLimit.Raise();
if (args is [RunCommand.Name, ..])
{
    _ = Signals.Own;
}
// The service on one namespace has some 130 descriptors, and each namespace with selected connections adds a few.
if (!DescriptorLimit.Allows(256, static limit =>
    $"keepalive-agent: only {limit} file descriptors are allowed, 256 are needed at least. Raise the limit: ulimit -n, or LimitNOFILE= in the systemd unit."))
{
    return ExitCodes.NotPermitted;
}
// As a plugin of kubectl it has the commands that can be about a cluster.
Command[] commands =
[
    .. BuildInformation.IsKubectlPlugin ? (Command[])[] : [RunCommand.Create()],
    CheckCommand.Create(),
    AuditCommand.Create(),
    RenderCommand.Create(),
    ExplainCommand.Create(),
    SocketsCommand.Create(),
    .. BuildInformation.IsKubectlPlugin ? (Command[])[] : [TopCommand.Create(), ProbesCommand.Create(), SupportCommand.Create()],
];
var root = new RootCommand("Keeps idle TCP connections alive behind load balancers and NATs: sets keepalive by policy.");
foreach (var command in commands)
{
    root.Subcommands.Add(command);
}
return CommandLineProgram.Run(root, AgentHelp.Pages, args, StreamProblems.Find, static e => e switch
{
    OutputException { IsAbandoned: true } => ExitCodes.Abandoned,
    MissingRequirementException => ExitCodes.NotPermitted,
    OutputException => ExitCodes.Failed,
    _ => null,
});
