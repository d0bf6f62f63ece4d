using System.CommandLine;
using System.Globalization;
using System.Text.RegularExpressions;
using Keepalive.Config.Balancers;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Discover;

namespace Keepalive.Simulator.Commands;

/// <summary><c>keepalive-sim discover</c>: measures what is between here and a far end.</summary>
internal static partial class DiscoverCommand
{
    public const int MaxConnections = 256;
    public const int LeastConnections = 8;
    public const int PerSecond = 10;
    private const double LeastPrecision = 0.001;
    private const double MostPrecision = 0.5;

    public static Command Create()
    {
        var targets = new Argument<string[]>("HOST:PORT") { Arity = ArgumentArity.OneOrMore, Description = "The far end, reached through the balancer; each address of a name is measured" };
        var until = DurationOption.Create("--until", "Longest idle time to try (default 20m)", TimeSpan.FromSeconds(2), TimeSpan.FromHours(24));
        var connections = NumberOption.Create("--connections", $"Connections at a time to each address, at most {MaxConnections} in all and {PerSecond} new ones a second", LeastConnections, MaxConnections, 64);
        var precision = new Option<string>("--precision") { HelpName = "PERCENT", DefaultValueFactory = _ => "2%", Description = "Part of the timeout that may remain unknown" };
        var http = new Option<string?>("--http") { HelpName = "/PATH", Description = "Send a GET for this path on each connection first" };
        var send = new Option<string?>("--send") { HelpName = "TEXT", Description = @"Send this text on each connection first; \r, \n, \t, \\ and \xHH are escapes" };
        var direct = new Option<string?>("--direct") { HelpName = "HOST:PORT", Description = "The same far end past the balancer, measured too: tells which of the two ends connections" };
        var name = new Option<string?>("--name") { HelpName = "NAME", Description = "Name for the file and the policy (default from the host)" };
        var file = new Option<string?>("--out") { HelpName = "FILE", Description = "Write what was measured as a balancer file, for --balancer" };
        var report = ReportOption.Create("Also write a page with each test: one file, for a browser");
        var output = OutputOption.Create();
        var command = new Command("discover", "Measure the idle timeout of what is between here and a far end")
        {
            targets, until, connections, precision, http, send, direct, name, file, report, output,
        };
        command.AddRule(result =>
        {
            foreach (var target in (result.GetValue(targets) ?? []).Append(result.GetValue(direct)).OfType<string>())
            {
                Require(DiscoveryTarget.TryParse(target) is not null, $"'{target}' is no HOST:PORT, like example.org:443 or [2001:db8::1]:443");
            }
            if (result.GetResult(precision) is { Implicit: false } && ProblemOfPrecision(result.GetValue(precision)!) is { } imprecise)
            {
                result.AddError($"--precision {imprecise}");
            }
            Require(result.GetValue(http) is null || result.GetValue(send) is null, "--http and --send exclude each other");
            if (result.GetValue(http) is { } path && DiscoverPayload.ProblemOfPath(path) is { } problem)
            {
                result.AddError($"--http {problem}");
            }
            if (result.GetValue(send) is { } text && DiscoverPayload.Unescape(text, out var unknown) is null)
            {
                result.AddError($"--send: {unknown}");
            }
            Require(result.GetValue(file) is not { Length: > 0 } written || BalancerFile.IsPath(written),
                $"--out takes a path that --balancer knows from a balancer's name: {result.GetValue(file)}.yaml or ./{result.GetValue(file)}");
            Require(result.GetValue(file) is null || result.GetValue(targets) is not { } several || several.Distinct().Count() < 2, "--out describes one balancer: give one HOST:PORT, and run it once for each");
            Require(result.GetValue(report) is not { Length: > 0 } page || result.GetValue(file) is not { Length: > 0 } other || !SweepCommand.IsSame(page, other),
                $"--report: {result.GetValue(report)} is the file of --out");
            Require(result.GetValue(name) is not { } given || NamePattern().IsMatch(given), "--name takes lower-case letters, digits and dashes");

            void Require(bool holds, string error)
            {
                if (!holds)
                {
                    result.AddError(error);
                }
            }
        });
        command.SetAction(result =>
        {
            _ = PartOfWhole.TryParse(result.GetValue(precision), LeastPrecision, MostPrecision, out var part);
            var path = result.GetValue(http);
            var text = DiscoverPayload.Unescape(result.GetValue(send) ?? "", out _)!;
            return new DiscoverRun
            {
                Targets = [.. result.GetValue(targets)!.Select(target => DiscoveryTarget.TryParse(target)!)],
                Direct = result.GetValue(direct) is { } past ? DiscoveryTarget.TryParse(past) : null,
                Until = result.GetValue(until) is var longest && longest > TimeSpan.Zero ? longest : TimeSpan.FromMinutes(20),
                Connections = result.GetValue(connections),
                Precision = part,
                Payload = host => path is not null ? DiscoverPayload.Http(path, host) : text,
                Name = result.GetValue(name),
                File = result.GetValue(file),
                Report = result.GetValue(report),
                IsJson = result.GetValue(output) == OutputFormat.Json,
            }.Execute(result.InvocationConfiguration.Output);
        });
        return command;
    }

    /// <summary>Why a text is no precision; null if it is one. A bare number could be a part or a percentage.</summary>
    private static string? ProblemOfPrecision(string text)
    {
        if (!text.EndsWith('%') && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number))
        {
            var percent = string.Create(CultureInfo.InvariantCulture, $"{(number < 1 ? number * 100 : number):0.##}%");
            return $"takes a percentage: '{text}' has no percent sign; write {(PartOfWhole.TryParse(percent, LeastPrecision, MostPrecision, out _) ? percent : "2%, for example")}";
        }
        return PartOfWhole.TryParse(text, LeastPrecision, MostPrecision, out _) ? null : "takes a percentage from 0.1% to 50%, like 2%";
    }

    /// <summary>The names of balancers and policies.</summary>
    [GeneratedRegex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    public static partial Regex NamePattern();
}
