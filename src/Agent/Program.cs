using System.CommandLine;
using Keepalive.Agent;
using Keepalive.Agent.Commands;
using Keepalive.Agent.Running;
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
var root = new RootCommand("Keeps idle TCP connections alive behind load balancers and NATs: sets keepalive on sockets by policy.")
{
    RunCommand.Create(),
    CheckCommand.Create(),
    AuditCommand.Create(),
    RenderCommand.Create(),
    ExplainCommand.Create(),
    SocketsCommand.Create(),
    ProbesCommand.Create(),
    SupportCommand.Create(),
};
BuildInformation.UseForVersion(root);
// A path may begin with an @.
var parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
var problems = GivenValues.Problems(parsed);
if (problems.Count > 0)
{
    foreach (var problem in problems)
    {
        Console.Error.WriteLine($"keepalive-agent: {problem}");
    }
    var command = parsed.CommandResult.Command;
    Console.Error.WriteLine($"See 'keepalive-agent {(command is RootCommand ? "" : command.Name + " ")}--help'.");
    return ExitCodes.Usage;
}
if (StreamProblems.Find(parsed) is { } closed)
{
    Console.Error.WriteLine($"keepalive-agent: {closed.Problem}");
    return closed.ExitCode;
}
try
{
    // Without a timeout the library handles no signals: its handler ends the program with an exception when a signal comes as a command begins or ends.
    return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
}
catch (OutputException e) when (e.IsAbandoned)
{
    return ExitCodes.Abandoned;
}
catch (MissingRequirementException e)
{
    Console.Error.WriteLine($"keepalive-agent: {e.Message}");
    return ExitCodes.NotPermitted;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException or OutputException)
{
    // Standard output that cannot be written to, a full disk, no descriptor left: what happened is in the message.
    Console.Error.WriteLine($"keepalive-agent: {e.Message}");
    return ExitCodes.Failed;
}
