using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Keepalive.Config;

namespace Keepalive.Simulator.Scenarios;

/// <summary>One scenario of a grid.</summary>
/// <param name="Values">Of each parameter, as written.</param>
/// <param name="Scenario">It.</param>
internal sealed record GridPoint(ImmutableArray<string> Values, Scenario Scenario)
{
    public string Key => string.Join(',', Values);
}

/// <summary>A scenario with every combination of some parameters' values.</summary>
internal sealed class ScenarioGrid
{
    public const int MaxPoints = 20_000;

    private ScenarioGrid(ImmutableArray<ParameterRange> parameters, ImmutableArray<GridPoint> points, string fingerprint) =>
        (Parameters, Points, Fingerprint) = (parameters, points, fingerprint);

    public ImmutableArray<ParameterRange> Parameters { get; }

    /// <summary>The last parameter changes from each to the next.</summary>
    public ImmutableArray<GridPoint> Points { get; }

    /// <summary>Tells one scenario's grid from another's: what is the same at every point.</summary>
    public string Fingerprint { get; }

    /// <summary>Reads every scenario of the grid, so that nothing runs before all is known to be right.</summary>
    /// <returns>Null, and what is wrong.</returns>
    public static ScenarioGrid? Read(string path, ImmutableArray<ParameterRange> parameters, out ImmutableArray<Diagnostic> diagnostics)
    {
        IEnumerable<ImmutableArray<string>> combinations = [[]];
        foreach (var parameter in parameters)
        {
            combinations = combinations.SelectMany(_ => parameter.Values, (values, value) => values.Add(value));
        }
        var points = ImmutableArray.CreateBuilder<GridPoint>();
        var found = new List<Diagnostic>();
        foreach (var values in combinations)
        {
            var reading = ScenarioReader.Read(path, parameters.Select((parameter, i) => new FieldChange(parameter.Path, values[i])));
            found.AddRange(reading.Diagnostics);
            if (reading.Scenario is { } scenario)
            {
                points.Add(new GridPoint(values, scenario));
            }
        }
        diagnostics = [.. found.Distinct()];
        return diagnostics.Any(diagnostic => diagnostic.Severity == Severity.Error) ? null : new ScenarioGrid(parameters, points.ToImmutable(), FingerprintOf(path));
    }

    private static string FingerprintOf(string path)
    {
        var text = File.Exists(path) ? File.ReadAllText(path) : BuiltInScenarios.Find(path)!;
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..12];
    }
}
