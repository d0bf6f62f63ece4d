using System.CommandLine;
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
        var output = OutputOption.Create();
        var command = new Command("merge", "Merge the shards of a sweep") { files, file, picture, output };
        command.AddRule(result =>
        {
            foreach (var problem in Problems(result.GetValue(files) ?? [], result.GetValue(file), result.GetValue(picture)))
            {
                result.AddError(problem);
            }
        });
        command.SetAction(result => Execute(
            result.GetValue(files)!, result.GetValue(file), result.GetValue(picture), result.GetValue(output) == OutputFormat.Json, result.InvocationConfiguration.Output));
        return command;
    }

    /// <summary>The problems of the files to write: one would replace another.</summary>
    private static IEnumerable<string> Problems(string[] shards, string? rows, string? picture)
    {
        foreach (var (option, path) in new[] { ("--out", rows), ("--svg", picture) })
        {
            if (path == "-")
            {
                yield return $"{option} takes a file, not -";
            }
            else if (path is { Length: > 0 } && shards.Any(shard => SweepCommand.IsSame(shard, path)))
            {
                yield return $"{option}: {path} is one of the shards";
            }
        }
        if (rows is { Length: > 0 } && picture is { Length: > 0 } && SweepCommand.IsSame(rows, picture))
        {
            yield return $"--svg: {picture} is the file of --out";
        }
    }

    private static int Execute(string[] paths, string? rows, string? picture, bool isJson, TextWriter output)
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
            if (rows is not null)
            {
                SweepFile.Write(rows, grid, inOrder);
            }
            if (drawing is not null)
            {
                SweepOutput.Draw(grid, inOrder, drawing);
            }
            SweepOutput.Print(grid, null, inOrder, isJson, output);
            return ExitCodes.Done;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Complaint.Say(ExitCodes.Failed, e.Message);
        }
    }
}
