using System.CommandLine;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Lab;

namespace Keepalive.Simulator.Commands;

/// <summary><c>keepalive-sim lab</c>, and the hidden command it starts itself with inside its sandbox.</summary>
internal static class LabCommand
{
    private const string Name = "lab";
    private const string Inside = "lab-inside";

    public static Command Create() => new Form(Name, "Run two commands with an idle balancer between them, on real network stacks").Command;

    public static Command CreateInside() => new Form(Inside, "").Command;

    /// <summary>Both have the same options; the inner one knows the directory besides.</summary>
    private sealed class Form
    {
        private readonly BalancerOptions _balancer = new();
        private readonly Option<OutputFormat> _output = OutputOption.Create();

        private readonly Option<string> _server = new("--server")
        {
            Description = "Command of the server side, for sh; addresses are in $LAB_SERVER, $LAB_CLIENT, $LAB_SERVER6, $LAB_CLIENT6",
            HelpName = "CMD",
            Required = true,
        };

        private readonly Option<string> _client = new("--client")
        {
            Description = "Command of the client side, started when the server listens; the lab exits with its exit code",
            HelpName = "CMD",
            Required = true,
        };

        private readonly Option<string?> _agent = new("--agent")
        {
            Description = "Run keepalive-agent with these policies on the client side",
            HelpName = "POLICY",
        };

        private readonly Option<string> _program = AgentProgram.Create();

        private readonly Option<string?> _pcap = new("--pcap")
        {
            Description = "Record every frame on both sides (pcapng)",
            HelpName = "FILE",
        };

        private readonly Option<string?> _report = ReportOption.Create("Also write a page with every connection's packets: one file, for a browser");

        private readonly Argument<string> _directory = new("directory");

        public Form(string name, string description)
        {
            foreach (var command in new[] { _server, _client })
            {
                command.Validators.Add(result =>
                {
                    if (result.Tokens is [{ Value: var text }] && string.IsNullOrWhiteSpace(text))
                    {
                        result.AddError($"{command.Name} is empty");
                    }
                });
            }
            Command = new Command(name, description);
            _balancer.AddTo(Command);
            foreach (var option in new Option[] { _server, _client, _agent, _program, _pcap, _report, _output })
            {
                Command.Options.Add(option);
            }
            if (name == Inside)
            {
                Command.Hidden = true;
                Command.Arguments.Add(_directory);
                Command.SetAction((result, _) => ExecuteInside(result));
            }
            else
            {
                Command.SetAction(Execute);
            }
        }

        public Command Command { get; }

        private int Execute(ParseResult result)
        {
            if (Unusable(result) is { } error)
            {
                return Complaint.Say(ExitCodes.Failed, error);
            }
            return InSandbox.Run(Name, directory =>
            {
                // From the file system as it is here; inside, only /proc is another.
                string[] own = ["--agent-program", Path.GetFullPath(result.GetValue(_program)!)];
                return [Inside, .. Arguments(result), .. own, directory];
            });
        }

        private IEnumerable<string> Arguments(ParseResult result)
        {
            // As they were given, option by option: what was given as "--server=-x" must not become an option of its own.
            foreach (var child in result.CommandResult.Children.OfType<System.CommandLine.Parsing.OptionResult>())
            {
                if (child is { Implicit: false } && child.Option != _program && child.Tokens.Count == 1)
                {
                    yield return $"{child.Option.Name}={child.Tokens[0].Value}";
                }
            }
        }

        private string? Unusable(ParseResult result)
        {
            if (result.GetValue(_agent) is { } policies)
            {
                if (!File.Exists(policies) && !Directory.Exists(policies))
                {
                    return $"--agent: there is no policy file or directory at {policies}";
                }
                if (AgentProgram.Missing(result.GetValue(_program)!) is { } missing)
                {
                    return missing;
                }
            }
            if (result.GetValue(_pcap) is { } file)
            {
                if (Directory.Exists(file))
                {
                    return $"--pcap: {file} is a directory";
                }
                if (Path.GetDirectoryName(Path.GetFullPath(file)) is { } parent && !Directory.Exists(parent))
                {
                    return $"--pcap: there is no directory {parent}";
                }
                try
                {
                    using var probe = new FileStream(file, FileMode.OpenOrCreate, FileAccess.Write);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    return $"--pcap: {e.Message}";
                }
            }
            return result.GetValue(_report) is { } report ? ReportOption.Unusable(report) : null;
        }

        private async Task<int> ExecuteInside(ParseResult result)
        {
            var directory = result.GetValue(_directory)!;
            var isJson = result.GetValue(_output) == OutputFormat.Json;
            using LabReport report = isJson ? new JsonLabReport(Console.Out) : new TextLabReport(Console.Out, Terminal.WantsColours());
            var plan = new LabPlan(
                _balancer.Get(result),
                result.GetValue(_server)!,
                result.GetValue(_client)!,
                result.GetValue(_agent),
                result.GetValue(_program)!,
                result.GetValue(_pcap),
                result.GetValue(_report),
                directory);
            return await InSandbox.GuardAsync(directory, async onEnd =>
            {
                using var run = new LabRun(plan, report, isJson);
                onEnd(run.End);
                return await run.ExecuteAsync().ConfigureAwait(false);
            }).ConfigureAwait(false);
        }
    }
}
