using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Keepalive.Config;
using Keepalive.Config.Reading;

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

    /// <summary>Tells one scenario's grid from another's: the scenario as it is written, and what is in the files it names at any point.</summary>
    public string Fingerprint { get; }

    /// <summary>Reads every scenario of the grid, so that nothing runs before all is known to be right.</summary>
    /// <returns>Null, and what is wrong.</returns>
    public static ScenarioGrid? Read(ScenarioText text, ImmutableArray<ParameterRange> parameters, out ImmutableArray<Diagnostic> diagnostics)
    {
        IEnumerable<ImmutableArray<string>> combinations = [[]];
        foreach (var parameter in parameters)
        {
            combinations = combinations.SelectMany(_ => parameter.Values, (values, value) => values.Add(value));
        }
        var points = ImmutableArray.CreateBuilder<GridPoint>();
        var found = new List<Diagnostic>();
        var files = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var values in combinations)
        {
            var reading = ScenarioReader.Read(text, parameters.Select((parameter, i) => new FieldChange(parameter.Path, values[i])));
            found.AddRange(reading.Diagnostics);
            files.UnionWith(reading.Files);
            if (reading.Scenario is { } scenario)
            {
                points.Add(new GridPoint(values, scenario));
            }
        }
        diagnostics = [.. found.Distinct()];
        return diagnostics.Any(diagnostic => diagnostic.Severity == Severity.Error)
            ? null
            : new ScenarioGrid(parameters, points.ToImmutable(), FingerprintOf(text.Text, files));
    }

    private static string FingerprintOf(string text, IEnumerable<string> files)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(text));
        foreach (var content in files.SelectMany(Contents))
        {
            // Hashes are all as long: what ends in one file cannot begin in the next.
            hash.AppendData(content);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..12];
    }

    /// <summary>The hash of a file; of a directory, those of the files that are read of it.</summary>
    private static IEnumerable<byte[]> Contents(string path)
    {
        if (Directory.Exists(path))
        {
            return new PolicyFiles(new DiagnosticBag()).Read([path]).Select(file => SHA256.HashData(Encoding.UTF8.GetBytes(file.Text)));
        }
        using var file = File.OpenRead(path);
        return [SHA256.HashData(file)];
    }
}
