using System.Collections.Immutable;

namespace Keepalive.Simulator.Scenarios;

/// <summary>What is known of a grid without its scenarios: enough to write its rows.</summary>
/// <param name="Scenario">The scenario's name.</param>
/// <param name="Fingerprint">Tells one scenario from another: the text and the files that it names.</param>
/// <param name="Parameters">The fields and their values.</param>
/// <param name="Waits">Whether a server works on requests at some of its points.</param>
internal sealed record GridHead(string Scenario, string Fingerprint, ImmutableArray<ParameterRange> Parameters, bool Waits)
{
    /// <summary>The number of points, as a floating-point number, since parameters of a command line may multiply to anything.</summary>
    public static double Size(IEnumerable<ParameterRange> parameters) => parameters.Aggregate(1.0, (points, parameter) => points * parameter.Values.Length);

    /// <summary>The values of a point. The last parameter changes from each to the next.</summary>
    public static ImmutableArray<string> ValuesAt(ImmutableArray<ParameterRange> parameters, int point)
    {
        var values = new string[parameters.Length];
        for (var i = parameters.Length - 1; i >= 0; i--)
        {
            (point, var value) = int.DivRem(point, parameters[i].Values.Length);
            values[i] = parameters[i].Values[value];
        }
        return ImmutableArray.Create(values);
    }
}
