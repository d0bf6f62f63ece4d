using System.CommandLine;
using System.Net;
using Keepalive.Config;
using Keepalive.Simulator.Advice;
using Keepalive.Simulator.Reports;

namespace Keepalive.Simulator.Commands;

/// <summary><c>keepalive-sim advise</c>: the policy for a balancer, and why.</summary>
internal static class AdviseCommand
{
    public static Command Create()
    {
        var balancer = new BalancerOptions(needsExpiry: false);
        var loss = Text("--loss", "Part of the packets that is lost, like 1%", "PART", "0");
        var roundTrip = Text("--rtt", "Round-trip time to the balancer", "DURATION", "50ms");
        var detect = new Option<string?>("--detect-within") { Description = "Latest time at which a dead peer is detected", HelpName = "DURATION" };
        var service = new Option<string?>("--service-time") { Description = "Longest time a server takes to respond, like 10m", HelpName = "DURATION" };
        var target = Text("--target", "Part of the waits between probes that may end with a forgotten connection", "PART", "0.000001");
        var connections = NumberOption.Create("--connections", "Number of connections", 1, 1_000_000, 1000);
        var hz = NumberOption.Create(
            "--hz", $"CONFIG_HZ of the kernels that probe (default: the worst of {string.Join(", ", AdviceRequest.CommonHz)})", 24, 1200);
        var address = new Option<string?>("--address") { Description = "Address, CIDR block or host name of the balancer, for the policy", HelpName = "ADDRESS" };
        var application = new Option<string?>("--for") { Description = "Also print the settings of an application, like postgres, jdbc, go, node", HelpName = "APPLICATION" };
        application.CompletionSources.Add([.. ApplicationSettings.Names]);
        var threads = RunScenarioCommand.ThreadsOption();
        var output = OutputOption.Create();
        var command = new Command("advise", "Find the policy with the fewest probes that works, and check it by simulation")
        {
            loss, roundTrip, service, detect, target, connections, hz, address, application, threads, output,
        };
        balancer.AddTo(command);
        command.AddRule(result =>
        {
            Require(loss, () => PartOfWhole.TryParse(result.GetValue(loss), 0, 0.5, out _), "--loss takes a part from 0% to 50%, like 1%");
            Require(target, () => PartOfWhole.TryParse(result.GetValue(target), 1e-12, 0.1, out _), "--target takes a part from 0.000000000001 to 10%");
            Require(roundTrip, () => TryTime(result.GetValue(roundTrip), TimeSpan.Zero, TimeSpan.FromMilliseconds(900), out _), "--rtt takes a duration up to 900ms");
            Require(detect, () => TryTime(result.GetValue(detect), TimeSpan.FromSeconds(1), TimeSpan.FromDays(30), out _), "--detect-within takes a duration from 1s to 720h, like 2m");
            Require(service, () => TryTime(result.GetValue(service), TimeSpan.FromMilliseconds(1), TimeSpan.FromDays(30), out _), "--service-time takes a duration up to 720h, like 10m");
            Require(address, () => result.GetValue(address) is { } text && (IPNetwork.TryParse(text, out _) || IPAddress.TryParse(text, out _) || HostName.IsValid(text)),
                "--address takes an address like 203.0.113.10, a block like 203.0.113.0/24 or a host name");
            Require(application, () => !ApplicationSettings.Of(result.GetValue(application)!).IsEmpty, Unknown(result.GetValue(application) ?? ""));

            // An option that is not given has its default, which the result does not know yet; one given twice, or without a value, is reported anyway.
            void Require(Option option, Func<bool> holds, string error)
            {
                if (result.GetResult(option) is { Implicit: false, Tokens.Count: 1 } && !holds())
                {
                    result.AddError(error);
                }
            }
        });
        command.SetAction(result =>
        {
            var setting = balancer.Get(result);
            _ = PartOfWhole.TryParse(result.GetValue(loss), 0, 1, out var lossPart);
            _ = PartOfWhole.TryParse(result.GetValue(target), 0, 1, out var targetPart);
            _ = TryTime(result.GetValue(roundTrip), TimeSpan.Zero, TimeSpan.MaxValue, out var rtt);
            var request = new AdviceRequest
            {
                Preset = setting.Preset,
                Rule = setting.Rule,
                IsExpiryAssumed = balancer.IsExpiryAssumed(result),
                Loss = lossPart,
                RoundTrip = new TimeSpan(rtt.Ticks / 2 * 2),
                Connections = result.GetValue(connections),
                DetectWithin = TryTime(result.GetValue(detect), TimeSpan.Zero, TimeSpan.MaxValue, out var within) ? within : null,
                ServiceTime = TryTime(result.GetValue(service), TimeSpan.Zero, TimeSpan.MaxValue, out var serviceTime) ? serviceTime : null,
                Target = targetPart,
                Hz = result.GetValue(hz),
                Address = result.GetValue(address),
                Application = result.GetValue(application),
            };
            var isJson = result.GetValue(output) == OutputFormat.Json;
            var count = result.GetValue(threads);
            return Execute(request, count, isJson, result.InvocationConfiguration.Output);
        });
        return command;
    }

    private static int Execute(AdviceRequest request, int threads, bool isJson, TextWriter output)
    {
        if (Advisor.Find(request, out var reason) is not { } advice)
        {
            if (isJson)
            {
                AdviceReport.WriteRefusalJson(request, reason, output);
            }
            Complaint.Say(reason);
            foreach (var line in AdviceReport.RefusalLines(request))
            {
                Console.Error.WriteLine(line);
            }
            return ExitCodes.NotAsDescribed;
        }
        using var interruption = new Interruption();
        try
        {
            using var progress = new ProgressLine("checking by simulation");
            var with = AdviceCheck.Run(request, advice.Settings, advice.WorstHz, threads, progress.Show, interruption.Token);
            var without = AdviceCheck.Run(request, null, advice.WorstHz, threads, progress.Show, interruption.Token);
            progress.Dispose();
            if (isJson)
            {
                AdviceReport.WriteJson(request, advice, with, without, output);
            }
            else
            {
                AdviceReport.WriteYaml(request, advice, with, without, output);
            }
            return ExitCodes.Done;
        }
        catch (OperationCanceledException)
        {
            return Complaint.Say(interruption.ExitCode, "interrupted");
        }
    }

    private static string Unknown(string application) => $"--for: '{application}' is not known; "
        + (ApplicationSettings.Near(application) is { } near ? $"did you mean {near}? " : "") + $"it takes {string.Join(", ", ApplicationSettings.Names)}";

    private static Option<string> Text(string name, string description, string help, string value) =>
        new(name) { Description = description, HelpName = help, DefaultValueFactory = _ => value };

    private static bool TryTime(string? text, TimeSpan least, TimeSpan most, out TimeSpan time)
    {
        time = TimeSpan.Zero;
        if (text is null || !GoDuration.TryParse(text, out var nanoseconds))
        {
            return false;
        }
        time = TimeSpan.FromTicks(nanoseconds / TimeSpan.NanosecondsPerTick);
        return time >= least && time <= most;
    }
}
