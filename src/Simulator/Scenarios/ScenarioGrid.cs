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

/// <summary>A scenario with every combination of some parameters' values, or a shard of them.</summary>
internal sealed class ScenarioGrid
{
    /// <summary>Points that one process simulates.</summary>
    public const int MaxPoints = 20_000;

    /// <summary>Points of all shards.</summary>
    public const int MaxAllPoints = 10_000_000;

    private ScenarioGrid(GridHead head, ImmutableArray<GridPoint> points) => (Head, Points) = (head, points);

    public GridHead Head { get; }

    /// <summary>The points, or those of the shard, in order.</summary>
    public ImmutableArray<GridPoint> Points { get; }

    /// <summary>Reads every scenario of the grid, so that nothing runs before all is known to be right.</summary>
    /// <param name="text">The scenario.</param>
    /// <param name="changes">Fields that are changed at every point.</param>
    /// <param name="parameters">The fields and their values.</param>
    /// <param name="shard">The part to read; null for all.</param>
    /// <param name="diagnostics">The problems.</param>
    /// <returns>Null, and what is wrong.</returns>
    public static ScenarioGrid? Read(
        ScenarioText text, ImmutableArray<FieldChange> changes, ImmutableArray<ParameterRange> parameters, Shard? shard, out ImmutableArray<Diagnostic> diagnostics)
    {
        var points = ImmutableArray.CreateBuilder<GridPoint>();
        var found = new HashSet<Diagnostic>();
        var size = (int)GridHead.Size(parameters);
        for (var i = 0; i < size; i++)
        {
            if (shard is { } part && !part.Owns(i))
            {
                continue;
            }
            var values = GridHead.ValuesAt(parameters, i);
            var reading = ReadAt(text, changes, parameters, values);
            found.UnionWith(reading.Diagnostics);
            if (reading.Scenario is { } scenario)
            {
                points.Add(new GridPoint(values, scenario));
            }
        }
        diagnostics = [.. found];
        return diagnostics.Any(diagnostic => diagnostic.Severity == Severity.Error)
            ? null
            : new ScenarioGrid(
                new GridHead(text.Name, FingerprintOf(text, changes, parameters), parameters, points.Any(point => point.Scenario.ServiceTime is not null)), points.ToImmutable());
    }

    private static ScenarioReading ReadAt(
        ScenarioText text, ImmutableArray<FieldChange> changes, ImmutableArray<ParameterRange> parameters, ImmutableArray<string> values) =>
        ScenarioReader.Read(text, changes.Concat(parameters.Select((parameter, i) => new FieldChange(parameter.Path, values[i]))));

    /// <summary>Tells one scenario's grid from another's: the scenario as it is written, and what is in the files that it names.</summary>
    /// <remarks>The same for each shard: the files are those of each value of a parameter beside the first values of the others.</remarks>
    private static string FingerprintOf(ScenarioText text, ImmutableArray<FieldChange> changes, ImmutableArray<ParameterRange> parameters)
    {
        var first = GridHead.ValuesAt(parameters, 0);
        var files = new SortedSet<string>(StringComparer.Ordinal);
        for (var i = 0; i < parameters.Length; i++)
        {
            foreach (var value in parameters[i].Values)
            {
                files.UnionWith(ReadAt(text, changes, parameters, first.SetItem(i, value)).Files);
            }
        }
        return FingerprintOf(string.Join('\n', [text.Text, .. changes.Select(change => $"{change.Path}={change.Value}")]), files);
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
