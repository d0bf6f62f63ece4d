using System.Collections.Immutable;
using System.CommandLine;
using System.Runtime.ExceptionServices;
using Keepalive.Simulator.Reports;
using Keepalive.Simulator.Scenarios;
using Keepalive.Simulator.Virtual;

namespace Keepalive.Simulator.Commands;

/// <summary><c>keepalive-sim sweep</c>: a scenario with every combination of some fields' values, on all processors.</summary>
internal static class SweepCommand
{
    public static Command Create()
    {
        var scenario = new Argument<string>("SCENARIO") { Description = "A file, - for standard input, or a built-in name" };
        var set = RunScenarioCommand.SetOption();
        set.Description = "Values of a field, like keepalive.time=30s..700s/20 or network.loss=0,1%,5%; may be repeated";
        set.HelpName = "FIELD=VALUES";
        var file = new Option<string?>("--out") { Description = "Save the rows in this file (.csv, else lines of JSON) and continue from it", HelpName = "FILE" };
        var picture = new Option<string?>("--svg") { Description = "Draw failure rate and probe cost into this file", HelpName = "FILE" };
        var everyProbe = new Option<bool>("--every-probe") { Description = "Process each probe by itself; same result, slower" };
        var threads = RunScenarioCommand.ThreadsOption();
        var output = OutputOption.Create();
        var command = new Command("sweep", "Simulate a grid of scenarios, on all processors") { scenario, set, file, picture, everyProbe, threads, output };
        command.AddRule(result =>
        {
            var parameters = Parameters(result.GetValue(set) ?? [], out var error);
            if (parameters.IsDefault)
            {
                result.AddError(error);
            }
            foreach (var problem in Files(result.GetValue(scenario), result.GetValue(file), result.GetValue(picture)))
            {
                result.AddError(problem);
            }
        });
        command.SetAction(result =>
        {
            var plan = new Plan(
                result.GetValue(scenario)!, Parameters(result.GetValue(set)!, out _), result.GetValue(file), result.GetValue(picture),
                result.GetValue(everyProbe), result.GetValue(threads), result.GetValue(output) == OutputFormat.Json);
            return Execute(plan, result.InvocationConfiguration.Output);
        });
        return command;
    }

    /// <summary>The problems of the files to write: one would replace another.</summary>
    private static IEnumerable<string> Files(string? scenario, string? rows, string? picture)
    {
        foreach (var (option, path) in new[] { ("--out", rows), ("--svg", picture) })
        {
            if (path == "-")
            {
                yield return $"{option} takes a file, not -";
            }
            else if (path is { Length: > 0 } && scenario is not (null or "-") && File.Exists(scenario) && IsSame(path, scenario))
            {
                yield return $"{option}: {path} is the scenario";
            }
        }
        if (rows is { Length: > 0 } && picture is { Length: > 0 } && IsSame(rows, picture))
        {
            yield return $"--svg: {picture} is the file of --out";
        }
    }

    private static bool IsSame(string one, string other) => Target(one) == Target(other);

    private static string Target(string path) =>
        (File.Exists(path) ? File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName : null) ?? Path.GetFullPath(path);

    private static ImmutableArray<ParameterRange> Parameters(string[] texts, out string error)
    {
        error = "sweep needs at least one --set FIELD=VALUES";
        if (texts.Length == 0)
        {
            return default;
        }
        var parameters = ImmutableArray.CreateBuilder<ParameterRange>();
        foreach (var text in texts)
        {
            if (ParameterRange.Parse(text, out error) is not { } parameter)
            {
                return default;
            }
            if (parameters.Any(other => other.Path == parameter.Path))
            {
                error = $"--set {parameter.Path} is given twice";
                return default;
            }
            parameters.Add(parameter);
        }
        if (parameters.Aggregate(1.0, (points, parameter) => points * parameter.Values.Length) > ScenarioGrid.MaxPoints)
        {
            error = $"the grid has more than {ScenarioGrid.MaxPoints} points";
            return default;
        }
        return parameters.ToImmutable();
    }

    private static int Execute(Plan plan, TextWriter output)
    {
        if (RunScenarioCommand.Open(plan.Scenario) is not { } text)
        {
            return ExitCodes.InvalidInput;
        }
        var grid = ScenarioGrid.Read(text, plan.Parameters, out var diagnostics);
        RunScenarioCommand.Complain(diagnostics);
        if (grid is null)
        {
            return ExitCodes.InvalidInput;
        }
        using var interruption = new Interruption();
        try
        {
            using var drawing = plan.Picture is { } drawn ? PictureFile.Open(drawn) : null;
            var rows = new Dictionary<string, SweepRow>();
            using var file = plan.File is { } path ? SweepFile.Open(path, grid, rows) : null;
            try
            {
                RunAll(plan, grid, rows, file, interruption.Token);
            }
            catch (OperationCanceledException)
            {
                return Complaint.Say(interruption.ExitCode,
                    $"interrupted: {rows.Count} of {grid.Points.Length} done{(plan.File is null ? "; with --out they would be kept" : $" and kept in {plan.File}; the same command goes on from there")}");
            }
            List<SweepRow> inOrder = [.. grid.Points.Select(point => rows[point.Key])];
            file?.Finish(inOrder);
            if (drawing is not null)
            {
                drawing.Write(SweepPicture.Draw(grid, inOrder, Path.GetFileNameWithoutExtension(text.Name), out var lost));
                if (lost is not null)
                {
                    Complaint.Say(ExitCodes.Done, $"{plan.Picture}: {lost}: change fewer fields at once, or give them fewer values");
                }
            }
            if (plan.IsJson)
            {
                inOrder.ForEach(row => output.WriteLine(row.ToJson(grid)));
            }
            else
            {
                SweepTable.Write(grid, inOrder, output);
            }
            return ExitCodes.Done;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Complaint.Say(ExitCodes.Failed, e.Message);
        }
    }

    private static void RunAll(Plan plan, ScenarioGrid grid, Dictionary<string, SweepRow> rows, SweepFile? file, CancellationToken cancellation)
    {
        using var progress = new ProgressLine($"{grid.Points.Length} scenarios");
        var left = grid.Points.Where(point => !rows.ContainsKey(point.Key)).ToList();
        // Few large scenarios share the processors; many have one each.
        var each = new VirtualOptions(plan.EveryProbe, Math.Max(1, plan.Threads / Math.Max(1, left.Count)));
        var options = new ParallelOptions { MaxDegreeOfParallelism = plan.Threads, CancellationToken = cancellation };
        var done = 0;
        try
        {
            Parallel.ForEach(System.Collections.Concurrent.Partitioner.Create(left, System.Collections.Concurrent.EnumerablePartitionerOptions.NoBuffering), options, point =>
            {
                var row = SweepRow.Of(point, new RunResult(point.Scenario, VirtualEngine.Run(point.Scenario, each, null, cancellation)));
                lock (rows)
                {
                    file?.Add(row);
                    rows[row.Key] = row;
                    progress.Show((double)++done / left.Count);
                }
            });
        }
        catch (AggregateException e) when (e.InnerExceptions.All(static inner => inner is IOException or UnauthorizedAccessException))
        {
            // Each of the threads has met it.
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }

    private sealed record Plan(
        string Scenario, ImmutableArray<ParameterRange> Parameters, string? File, string? Picture, bool EveryProbe, int Threads, bool IsJson);
}
