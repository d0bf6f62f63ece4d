using System.CommandLine;
using System.CommandLine.Parsing;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;

namespace Keepalive.Simulator.Commands;

/// <summary>The options that say what the balancer does: a preset, and what is otherwise than there.</summary>
internal sealed class BalancerOptions
{
    private static readonly TimeSpan s_shortest = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_longest = TimeSpan.FromDays(30);

    private readonly Option<string?> _balancer = new("--balancer")
    {
        Description = "A balancer by name ('keepalive-sim balancers' lists them)",
        HelpName = "NAME",
    };

    private readonly Option<string?> _idleTimeout = new("--idle-timeout")
    {
        Description = "Idle timeout, like 5s (default: the balancer's)",
        HelpName = "DURATION",
    };

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
        _balancer.CompletionSources.Add([.. BalancerPresets.All.Select(preset => preset.Name)]);
        _expiry.CompletionSources.Add([.. IdleBehaviour.Classes.Select(entry => entry.Name)]);
        _refresh.CompletionSources.Add([.. IdleBehaviour.RefreshWords]);
        command.Options.Add(_balancer);
        command.Options.Add(_idleTimeout);
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

    private LabSetting? Resolve(CommandResult result, out string error)
    {
        var name = result.GetValue(_balancer);
        var preset = name is null ? null : BalancerPresets.Find(name);
        error = "";
        if (name is not null && preset is null)
        {
            string[] similar = [.. BalancerPresets.All.Select(entry => entry.Name).Where(entry => IsSimilar(entry, name)).OrderBy(entry => entry.Length).Take(3)];
            var meant = similar.Length > 0 ? $"did you mean {OneOf(similar)}? " : "";
            error = $"--balancer: '{name}' is not known; {meant}'keepalive-sim balancers' lists all";
            return null;
        }
        if (!TryResolve(result.GetValue(_expiry), result.GetValue(_refresh), preset, out var behaviour, ref error)
            || !TryResolve(result.GetValue(_idleTimeout), preset, out var timeout, ref error))
        {
            return null;
        }
        return new LabSetting(preset, new BalancerRule(timeout, behaviour));
    }

    private static bool TryResolve(string? expiry, string? refresh, BalancerPreset? preset, out IdleBehaviour behaviour, ref string error)
    {
        behaviour = preset?.Behaviour ?? default;
        if (expiry is null && preset is null)
        {
            error = "say what the balancer does: --balancer NAME, or --expiry CLASS and --idle-timeout DURATION";
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
            behaviour = found.Refresh == Refresh.AnyPacket ? behaviour with { Expiry = found.Expiry } : found;
        }
        if (refresh is not null)
        {
            if (IdleBehaviour.FindRefresh(refresh) is not { } found)
            {
                error = $"--refresh takes {OneOf([.. IdleBehaviour.RefreshWords])}, not '{refresh}'";
                return false;
            }
            behaviour = behaviour with { Refresh = found };
        }
        return true;
    }

    private static bool TryResolve(string? text, BalancerPreset? preset, out TimeSpan timeout, ref string error)
    {
        timeout = TimeSpan.FromSeconds(preset?.IdleTimeout ?? 0);
        if (text is null)
        {
            error = preset is null
                ? "--idle-timeout is needed where no --balancer is named"
                : $"--idle-timeout is needed: {preset.Name} has none until one is configured";
            return timeout > TimeSpan.Zero;
        }
        timeout = GoDuration.TryParse(text, out var nanoseconds) ? TimeSpan.FromTicks(nanoseconds / TimeSpan.NanosecondsPerTick) : TimeSpan.Zero;
        error = $"--idle-timeout takes a duration like 5s or 1m30s, from {s_shortest.TotalMilliseconds}ms to {s_longest.TotalDays} days, not '{text}'";
        return timeout >= s_shortest && timeout <= s_longest;
    }

    /// <summary>Names are often given without the vendor, or with what belongs to another.</summary>
    private static bool IsSimilar(string preset, string given) => given.Length >= 2
        && (preset.Contains(given, StringComparison.OrdinalIgnoreCase) || given.Contains(preset, StringComparison.OrdinalIgnoreCase));

    private static string OneOf(string[] words) => words.Length == 1 ? words[0] : $"{string.Join(", ", words[..^1])} or {words[^1]}";
}
