using System.CommandLine;
using Keepalive.Config;
using Keepalive.Linux.Files;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Pages;
using Keepalive.Simulator.Reports;
using Keepalive.Simulator.Scenarios;
using Keepalive.Simulator.Virtual;

namespace Keepalive.Simulator.Commands;

/// <summary><c>keepalive-sim run</c>: one scenario in virtual time.</summary>
internal static class RunScenarioCommand
{
    public static Command Create()
    {
        var scenario = new Argument<string?>("SCENARIO")
        {
            Description = "A file, - for standard input, or a built-in name (--list)",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var list = new Option<bool>("--list") { Description = "List the built-in scenarios" };
        var show = new Option<bool>("--show") { Description = "Print the scenario instead of running it" };
        var everyProbe = new Option<bool>("--every-probe") { Description = "Process each probe by itself; same result, slower" };
        var threads = ThreadsOption();
        var set = SetOption();
        set.Validators.Add(result =>
        {
            foreach (var token in result.Tokens.Where(token => token.Value.IndexOf('=', StringComparison.Ordinal) is var split && (split < 1 || split == token.Value.Length - 1)))
            {
                result.AddError($"--set takes FIELD=VALUE, not '{token.Value}'; FIELD=null removes the field");
            }
        });
        var report = ReportOption.Create("Also write a page with charts: one file, for a browser");
        var output = OutputOption.Create();
        var command = new Command("run", "Simulate a scenario in virtual time: days of a fleet in seconds") { scenario, list, show, set, everyProbe, threads, report, output };
        var balancer = new ScenarioBalancer();
        balancer.AddTo(command, set);
        command.AddRule(result =>
        {
            if (result.GetValue(scenario) is null != result.GetValue(list))
            {
                result.AddError("run takes a scenario file, the name of a built-in scenario, or --list");
            }
            if (result.GetValue(report) is { Length: > 0 } page && result.GetValue(scenario) is { Length: > 0 } source && source != ScenarioText.StandardInput
                && File.Exists(source) && SweepCommand.IsSame(page, source))
            {
                result.AddError($"--report: {page} is the scenario");
            }
        });
        command.SetAction(result =>
        {
            var text = result.InvocationConfiguration.Output;
            if (result.GetValue(list))
            {
                var isJson = result.GetValue(output) == OutputFormat.Json;
                foreach (var name in BuiltInScenarios.Names)
                {
                    text.WriteLine(isJson ? AsJson(name) : $"{name,-18} {BuiltInScenarios.Describe(name)}");
                }
                return ExitCodes.Done;
            }
            if (Open(result.GetValue(scenario)!) is not { } written)
            {
                return ExitCodes.InvalidInput;
            }
            if (result.GetValue(show))
            {
                text.Write(written.Text);
                return ExitCodes.Done;
            }
            var options = new VirtualOptions(result.GetValue(everyProbe), result.GetValue(threads));
            FieldChange[] changes =
            [
                .. balancer.Changes(result),
                .. result.GetValue(set)!.Select(change => change.Split('=', 2)).Select(words => new FieldChange(words[0], words[1])),
            ];
            return Execute(written, changes, options, result.GetValue(report), result.GetValue(output), text);
        });
        return command;
    }

    public static Option<int> ThreadsOption() =>
        NumberOption.Create("--threads", "Processors to use (default: all)", 1, 4096, Environment.ProcessorCount);

    /// <summary>Fields to change; for a grid, with several values.</summary>
    public static Option<string[]> SetOption() =>
        new("--set") { Description = "Change a field of the scenario, like keepalive.time=60s", HelpName = "FIELD=VALUE", DefaultValueFactory = _ => [] };

    /// <summary>Reads a scenario as it is written; null, and what is wrong is printed.</summary>
    public static ScenarioText? Open(string path)
    {
        if (path == ScenarioText.StandardInput && !StandardStreams.HasInput)
        {
            // Its number is by now that of a descriptor of the runtime's own, on which a read may wait for ever.
            Complaint.Say(ExitCodes.InvalidInput, "standard input is closed: there is nothing to read for -");
            return null;
        }
        using var input = Console.OpenStandardInput();
        var text = ScenarioText.Open(path, input, out var diagnostics);
        Complain(diagnostics);
        return text;
    }

    /// <summary>Prints what is wrong.</summary>
    public static void Complain(IEnumerable<Diagnostic> diagnostics)
    {
        foreach (var diagnostic in diagnostics)
        {
            Console.Error.WriteLine(diagnostic);
        }
    }

    private static string AsJson(string name) => SimulatorJson.Lines.Of(writer =>
    {
        writer.WriteString("scenario", name);
        writer.WriteString("about", BuiltInScenarios.Describe(name));
    });

    private static int Execute(ScenarioText text, FieldChange[] changes, VirtualOptions options, string? report, OutputFormat format, TextWriter output)
    {
        var reading = ScenarioReader.Read(text, changes);
        Complain(reading.Diagnostics);
        if (reading.Scenario is not { } scenario)
        {
            return ExitCodes.InvalidInput;
        }
        using var interruption = new Interruption();
        try
        {
            using var page = report is null ? null : ResultFile.Open("--report", report);
            using var progress = new ProgressLine(scenario.Name);
            var result = new RunResult(scenario, VirtualEngine.Run(scenario, options, progress.Show, interruption.Token));
            progress.Dispose();
            page?.Write(ChartPage.Write(RunPage.Of(result)));
            if (format == OutputFormat.Json)
            {
                RunReport.WriteJson(result, output);
            }
            else
            {
                RunReport.WriteTable(result, output);
            }
            return ExitCodes.Done;
        }
        catch (OperationCanceledException)
        {
            return Complaint.Say(interruption.ExitCode, "interrupted");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Complaint.Say(ExitCodes.Failed, e.Message);
        }
    }
}
