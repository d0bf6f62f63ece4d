using System.CommandLine;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Reports;

namespace Keepalive.Simulator.Commands;

/// <summary><c>keepalive-sim merge</c>: the shards of a sweep as the whole sweep would have printed them.</summary>
internal static class MergeCommand
{
    public static Command Create()
    {
        var files = new Argument<string[]>("FILES") { Description = "What 'sweep --shard I/N' wrote, every shard once; - for standard input", Arity = ArgumentArity.OneOrMore };
        var file = new Option<string?>("--out") { Description = "Write all rows into this file (.csv, else lines of JSON)", HelpName = "FILE" };
        var picture = new Option<string?>("--svg") { Description = "Draw failure rate and probe cost into this file", HelpName = "FILE" };
        var report = ReportOption.Create("Also write a page with charts and all points: one file, for a browser");
        var output = OutputOption.Create();
        var command = new Command("merge", "Merge the shards of a sweep") { files, file, picture, report, output };
        command.AddRule(result =>
        {
            foreach (var problem in SweepCommand.Files(
                [("--out", result.GetValue(file)), ("--svg", result.GetValue(picture)), ("--report", result.GetValue(report))], result.GetValue(files) ?? [], "one of the shards"))
            {
                result.AddError(problem);
            }
        });
        command.SetAction(result => Execute(
            result.GetValue(files)!, result.GetValue(file), result.GetValue(picture), result.GetValue(report), result.GetValue(output) == OutputFormat.Json, result.InvocationConfiguration.Output));
        return command;
    }

    private static int Execute(string[] paths, string? rows, string? picture, string? report, bool isJson, TextWriter output)
    {
        try
        {
            var problems = new List<string>();
            if (MergedShards.Read(paths, problems) is not var (grid, inOrder))
            {
                problems.ForEach(Complaint.Say);
                return ExitCodes.InvalidInput;
            }
            using var drawing = picture is null ? null : ResultFile.Open("--svg", picture);
            using var page = report is null ? null : ResultFile.Open("--report", report);
            if (rows is not null)
            {
                SweepFile.Write(rows, grid, inOrder);
            }
            SweepCommand.Draw(grid, inOrder, drawing, page);
            SweepOutput.Print(grid, null, inOrder, isJson, output);
            return ExitCodes.Done;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Complaint.Say(ExitCodes.Failed, e.Message);
        }
    }
}
