using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Commands;

/// <summary>The options that put another balancer into a scenario.</summary>
internal sealed class ScenarioBalancer
{
    private const string Field = "balancer";

    private readonly BalancerArguments _balancer = new(several: false, TimeSpan.FromMilliseconds(100), "a file with idleTimeout: and expiry:");

    /// <summary>Adds the options to a command.</summary>
    /// <param name="command">The command.</param>
    /// <param name="set">The option whose values change fields; it must not name another balancer.</param>
    public void AddTo(Command command, Option<string[]> set)
    {
        _balancer.AddTo(command);
        command.AddRule(result =>
        {
            var (named, _) = _balancer.Get(result);
            if (named is [{ IdleTimeout: null, Preset: { WhyNoTimeout: { } why } preset }])
            {
                result.AddError($"{preset.Name} {why}: write --balancer {preset.Name}=TIMEOUT");
            }
            if (named is [_] && (result.GetValue(set) ?? []).Any(change => change.StartsWith($"{Field}=", StringComparison.Ordinal)))
            {
                result.AddError("--balancer and --set balancer name two balancers: write one of them");
            }
        });
    }

    /// <summary>The changes of the scenario. The command line was validated.</summary>
    public ImmutableArray<FieldChange> Changes(ParseResult result)
    {
        var (named, bare) = _balancer.Get(result.CommandResult);
        var changes = ImmutableArray.CreateBuilder<FieldChange>();
        if (named is [var one])
        {
            changes.Add(new FieldChange(Field, one.File ?? one.Preset.Name));
        }
        if ((named is [{ IdleTimeout: { } own }] ? own : bare) is { } timeout)
        {
            changes.Add(new FieldChange($"{Field}.idleTimeout", string.Create(CultureInfo.InvariantCulture, $"{timeout.TotalMilliseconds:0.######}ms")));
        }
        return changes.ToImmutable();
    }
}
