using System.Collections.Immutable;
using System.CommandLine;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Pages;
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
        var report = ReportOption.Create("Also write a page with charts and all points: one file, for a browser");
        var everyProbe = new Option<bool>("--every-probe") { Description = "Process each probe by itself; same result, slower" };
        var threads = RunScenarioCommand.ThreadsOption();
        var shard = ShardOption();
        var output = OutputOption.Create();
        var command = new Command("sweep", "Simulate a grid of scenarios, on all processors") { scenario, set, shard, file, picture, report, everyProbe, threads, output };
        var balancer = new ScenarioBalancer();
        balancer.AddTo(command, set);
        command.AddRule(result =>
        {
            var part = result.GetValue(shard);
            var parameters = Parameters(result.GetValue(set) ?? [], part, out var error);
            if (parameters.IsDefault)
            {
                result.AddError(error);
            }
            if (part is not null && NotOfShards(result.GetValue(file), result.GetValue(picture), result.GetValue(report), result.GetValue(output)) is { } conflict)
            {
                result.AddError(conflict);
            }
            foreach (var problem in Files([("--out", result.GetValue(file)), ("--svg", result.GetValue(picture)), ("--report", result.GetValue(report))], Given(result.GetValue(scenario)), "the scenario"))
            {
                result.AddError(problem);
            }
        });
        command.SetAction(result =>
        {
            var plan = new Plan(
                result.GetValue(scenario)!, balancer.Changes(result), Parameters(result.GetValue(set)!, result.GetValue(shard), out _), result.GetValue(shard), result.GetValue(file), result.GetValue(picture), result.GetValue(report),
                result.GetValue(everyProbe), result.GetValue(threads), result.GetValue(output) == OutputFormat.Json);
            return Execute(plan, result.InvocationConfiguration.Output);
        });
        return command;
    }

    private static Option<Shard?> ShardOption() => new("--shard")
    {
        Description = "Simulate one of N parts of the grid, 0/N to N-1/N; 'merge' joins them",
        HelpName = "I/N",
        Arity = ArgumentArity.ExactlyOne,
        CustomParser = result =>
        {
            var shard = result.Tokens is [var token] ? Shard.Parse(token.Value) : null;
            if (shard is null)
            {
                result.AddError($"--shard takes I/N: N shards, from 0/N to N-1/N, at most {Shard.MaxCount}{(result.Tokens is [var written] ? $", not '{written.Value}'" : "")}");
            }
            return shard;
        },
    };

    /// <summary>Why a shard cannot be written as asked; null where it can.</summary>
    private static string? NotOfShards(string? rows, string? picture, string? report, OutputFormat format) =>
        picture is not null ? "--svg: a shard is no whole grid; 'keepalive-sim merge --svg FILE' draws it"
        : report is not null ? "--report: a shard is no whole grid; 'keepalive-sim merge --report FILE.html' writes it"
        : rows is not null && SweepFile.IsCsv(rows) ? "--out: a shard is kept as lines of JSON; 'keepalive-sim merge --out FILE.csv' writes CSV"
        : rows is null && format != OutputFormat.Json ? "--shard needs --out FILE or -o json: a table cannot be merged"
        : null;

    /// <summary>The problems of the files to write: one would replace another, or what is read.</summary>
    /// <param name="written">Each option with its path.</param>
    /// <param name="read">The files that are read.</param>
    /// <param name="what">What these are.</param>
    public static IEnumerable<string> Files(IReadOnlyList<(string Option, string? Path)> written, IReadOnlyList<string> read, string what)
    {
        for (var i = 0; i < written.Count; i++)
        {
            var (option, path) = written[i];
            if (path is not { Length: > 0 })
            {
                continue;
            }
            if (path == "-")
            {
                // The option of pages says so by itself.
                if (option != "--report")
                {
                    yield return $"{option} takes a file, not -";
                }
            }
            else if (read.Any(source => IsSame(path, source)))
            {
                yield return $"{option}: {path} is {what}";
            }
            else if (written.Take(i).FirstOrDefault(other => other.Path is { Length: > 0 } one && IsSame(one, path)) is { Option: { } taken })
            {
                yield return $"{option}: {path} is the file of {taken}";
            }
        }
    }

    /// <summary>Draws the rows of a grid, and reports lines that are omitted.</summary>
    public static void Draw(GridHead grid, IReadOnlyList<SweepRow> rows, ResultFile? drawing, ResultFile? page)
    {
        if (drawing is not null)
        {
            drawing.Write(SweepPage.Picture(grid, rows, out var lost));
            if (lost is not null)
            {
                Complaint.Say($"{drawing.Path}: {lost}: change fewer fields at once, or give them fewer values");
            }
        }
        page?.Write(ChartPage.Write(SweepPage.Of(grid, rows)));
    }

    private static string[] Given(string? scenario) => scenario is { Length: > 0 } and not "-" && File.Exists(scenario) ? [scenario] : [];

    /// <summary>Whether two paths lead to one file.</summary>
    public static bool IsSame(string one, string other) => Target(one) == Target(other);

    private static string Target(string path) =>
        (File.Exists(path) ? File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName : null) ?? Path.GetFullPath(path);

    private static ImmutableArray<ParameterRange> Parameters(string[] texts, Shard? shard, out string error)
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
        if (GridHead.Size(parameters) is var points && (points > ScenarioGrid.MaxAllPoints || Math.Ceiling(points / (shard?.Count ?? 1)) > ScenarioGrid.MaxPoints))
        {
            error = points > ScenarioGrid.MaxAllPoints
                ? $"the grid has more than {ScenarioGrid.MaxAllPoints} points"
                : $"the grid has {points:0} points, and one process simulates at most {ScenarioGrid.MaxPoints}: --shard I/{Math.Ceiling(points / ScenarioGrid.MaxPoints):0} simulates a part of them";
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
        var grid = ScenarioGrid.Read(text, plan.Changes, plan.Parameters, plan.Shard, out var diagnostics);
        RunScenarioCommand.Complain(diagnostics);
        if (grid is null)
        {
            return ExitCodes.InvalidInput;
        }
        using var interruption = new Interruption();
        try
        {
            using var drawing = plan.Picture is { } drawn ? ResultFile.Open("--svg", drawn) : null;
            using var page = plan.Report is { } reported ? ResultFile.Open("--report", reported) : null;
            var rows = new Dictionary<string, SweepRow>();
            using var file = plan.File is { } path ? SweepFile.Open(path, grid.Head, plan.Shard, rows) : null;
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
            Draw(grid.Head, inOrder, drawing, page);
            SweepOutput.Print(grid.Head, plan.Shard, inOrder, plan.IsJson, output);
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
        var done = 0;
        VirtualEngine.RunAll([.. left.Select(static point => point.Scenario)], new VirtualOptions(plan.EveryProbe, plan.Threads), (i, totals) =>
        {
            var row = SweepRow.Of(left[i], new RunResult(left[i].Scenario, totals));
            lock (rows)
            {
                file?.Add(row);
                rows[row.Key] = row;
                progress.Show((double)++done / left.Count);
            }
        }, cancellation);
    }

    private sealed record Plan(
        string Scenario, ImmutableArray<FieldChange> Changes, ImmutableArray<ParameterRange> Parameters, Shard? Shard, string? File, string? Picture, string? Report, bool EveryProbe, int Threads, bool IsJson);
}
