using System.CommandLine;
using System.CommandLine.Parsing;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;

namespace Keepalive.Simulator.Commands;

/// <summary>The options that say what the balancer does: a preset, and what is otherwise than there.</summary>
/// <param name="needsExpiry">Whether the behaviour at expiry has to be known. Otherwise it is assumed to be silent, which is the commonest.</param>
internal sealed class BalancerOptions(bool needsExpiry = true)
{
    private readonly BalancerArguments _balancer =
        new(several: false, TimeSpan.FromMilliseconds(100), "--idle-timeout TIMEOUT" + (needsExpiry ? " --expiry CLASS" : ""));

    private readonly Option<string?> _expiry = new("--expiry")
    {
        Description = $"Behaviour at expiry: {string.Join(", ", IdleBehaviour.Classes.Select(entry => entry.Name))}",
        HelpName = "CLASS",
    };

    private readonly Option<string?> _refresh = new("--refresh")
    {
        Description = $"Packets that restart the idle clock: {string.Join(", ", IdleBehaviour.RefreshWords)}",
        HelpName = "WHAT",
    };

    public void AddTo(Command command)
    {
        _expiry.CompletionSources.Add([.. IdleBehaviour.Classes.Select(entry => entry.Name)]);
        _refresh.CompletionSources.Add([.. IdleBehaviour.RefreshWords]);
        _balancer.AddTo(command);
        command.Options.Add(_expiry);
        command.Options.Add(_refresh);
        command.AddRule(result =>
        {
            if (Resolve(result, out var error) is null)
            {
                result.AddError(error);
            }
        });
    }

    /// <summary>The setting. The command line was validated.</summary>
    public LabSetting Get(ParseResult result) => Resolve(result.CommandResult, out _)!;

    /// <summary>Whether nothing says what the balancer does at expiry.</summary>
    public bool IsExpiryAssumed(ParseResult result) => _balancer.Get(result.CommandResult).Named.IsEmpty && result.GetValue(_expiry) is null;

    private LabSetting? Resolve(CommandResult result, out string error)
    {
        var (named, bare) = _balancer.Get(result);
        var preset = named is [var only] ? only.Preset : null;
        var timeout = named is [{ IdleTimeout: var own }] ? own : bare;
        var expiry = result.GetValue(_expiry) ?? (needsExpiry || preset is not null || timeout is null ? null : IdleBehaviour.NameOf(ExpiryClass.SilentDrop));
        if (!TryResolve(expiry, result.GetValue(_refresh), preset, out var behaviour, out error))
        {
            return null;
        }
        timeout ??= preset?.IdleTimeout is { } seconds ? TimeSpan.FromSeconds(seconds) : null;
        if (timeout is null)
        {
            error = preset is null
                ? "--idle-timeout is needed where no --balancer is named"
                : $"{preset.Name} {preset.WhyNoTimeout}: write --balancer {preset.Name}=TIMEOUT";
            return null;
        }
        return new LabSetting(preset, new BalancerRule(timeout.Value, behaviour));
    }

    private bool TryResolve(string? expiry, string? refresh, BalancerPreset? preset, out IdleBehaviour behaviour, out string error)
    {
        error = "";
        behaviour = preset?.Behaviour ?? default;
        if (expiry is null && preset is null)
        {
            error = $"say what the balancer does: --balancer NAME, or {(needsExpiry ? "--expiry CLASS and " : "")}--idle-timeout DURATION";
            return false;
        }
        if (expiry is not null)
        {
            if (IdleBehaviour.Find(expiry) is not { } found)
            {
                error = $"--expiry takes {OneOf([.. IdleBehaviour.Classes.Select(entry => entry.Name)])}, not '{expiry}'";
                return false;
            }
            // The classes that are about the clock bring theirs along; the others leave it as it is.
            behaviour = found.Refresh == Refresh.AnyPacket ? behaviour with { Expiry = found.Expiry } : found with { DropsProbes = behaviour.DropsProbes };
        }
        if (refresh is not null)
        {
            if (IdleBehaviour.FindRefresh(refresh) is not { } found)
            {
                error = $"--refresh takes {OneOf([.. IdleBehaviour.RefreshWords])}, not '{refresh}'";
                return false;
            }
            behaviour = behaviour with { Refresh = found, DropsProbes = behaviour.DropsProbes && found == Refresh.PayloadOnly };
        }
        return true;
    }

    private static string OneOf(string[] words) => words.Length == 1 ? words[0] : $"{string.Join(", ", words[..^1])} or {words[^1]}";
}
