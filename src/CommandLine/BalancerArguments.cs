using System.Collections.Immutable;
using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Parsing;
using System.Globalization;
using Keepalive.Config;
using Keepalive.Config.Balancers;

namespace Keepalive.CommandLine;

/// <summary>A balancer as a command line names it: <c>NAME</c>, <c>NAME=TIMEOUT</c>, or a file.</summary>
/// <param name="Preset">The balancer.</param>
/// <param name="IdleTimeout">Its idle timeout where one was written; null takes the balancer's own.</param>
public readonly record struct GivenBalancer(BalancerPreset Preset, TimeSpan? IdleTimeout)
{
    /// <summary>The file that describes it; null if it was named.</summary>
    public string? File { get; init; }
}

/// <summary>The balancers of a command line.</summary>
/// <param name="Named">Each with its timeout; that of <c>--idle-timeout</c> is the only one's.</param>
/// <param name="IdleTimeout">That of <c>--idle-timeout</c> if no balancer is named; else null.</param>
public readonly record struct GivenBalancers(ImmutableArray<GivenBalancer> Named, TimeSpan? IdleTimeout);

/// <summary><c>--balancer NAME[=TIMEOUT]|FILE</c> and <c>--idle-timeout TIMEOUT</c>, which both programs take.</summary>
/// <remarks>
/// An idle timeout belongs to one balancer. With several named, a bare <c>--idle-timeout</c> would say nothing true of the others, so that
/// it is refused.
/// </remarks>
public sealed class BalancerArguments
{
    private static readonly TimeSpan s_longest = TimeSpan.FromDays(30);

    private readonly TimeSpan _least;

    /// <summary>Declares both options.</summary>
    /// <param name="several">Whether several balancers may be named.</param>
    /// <param name="least">The shortest idle timeout.</param>
    /// <param name="otherwise">The options that describe a balancer without a name.</param>
    public BalancerArguments(bool several, TimeSpan least, string otherwise)
    {
        _least = least;
        Balancer = new("--balancer")
        {
            Description = "The balancer, NAT or firewall on the path ('keepalive-sim balancers' lists them), "
                + "and its idle timeout if it was configured; or a file of 'keepalive-sim discover'"
                + (several ? "; may be repeated" : ""),
            HelpName = "NAME[=TIMEOUT]|FILE",
            Arity = several ? ArgumentArity.OneOrMore : ArgumentArity.ExactlyOne,
            CustomParser = result => Parse(result, otherwise),
        };
        Balancer.CompletionSources.Add(static _ => BalancerPresets.Names.Select(static name => new CompletionItem(name)));
        IdleTimeout = DurationOption.Create(
            "--idle-timeout", "Idle timeout of the one balancer that is named, or of a device without a name", least, s_longest);
    }

    /// <summary><c>--balancer</c>.</summary>
    public Option<GivenBalancer[]> Balancer { get; }

    /// <summary><c>--idle-timeout</c>; zero if not given.</summary>
    public Option<TimeSpan> IdleTimeout { get; }

    /// <summary>Adds both options to a command, and the rule between them.</summary>
    public void AddTo(Command command)
    {
        ArgumentNullException.ThrowIfNull(command);
        command.Options.Add(Balancer);
        command.Options.Add(IdleTimeout);
        command.AddRule(result =>
        {
            if (Problem(result) is { } problem)
            {
                result.AddError(problem);
            }
        });
    }

    /// <summary>The balancers. The command line was validated.</summary>
    public GivenBalancers Get(CommandResult result)
    {
        ArgumentNullException.ThrowIfNull(result);
        var named = result.GetValue(Balancer) ?? [];
        TimeSpan? timeout = result.GetValue(IdleTimeout) is { Ticks: > 0 } given ? given : null;
        return named is [var only] && timeout is not null
            ? new([only with { IdleTimeout = timeout }], null)
            : new([.. named], named.Length == 0 ? timeout : null);
    }

    private string? Problem(CommandResult result)
    {
        var named = result.GetValue(Balancer) ?? [];
        if (result.GetValue(IdleTimeout) is not { Ticks: > 0 } timeout)
        {
            return null;
        }
        if (named.Length > 1)
        {
            // Most likely it was meant for one that has none of its own.
            var byName = named.Where(static one => one.File is null).Select(static one => (GivenBalancer?)one).ToList();
            var meant = (byName.Find(static one => one is { IdleTimeout: null, Preset.IdleTimeout: null }) ?? byName.LastOrDefault())?.Preset.Name;
            return $"with {named.Length} balancers --idle-timeout is ambiguous: " + (meant is null
                ? "write the timeout in the file of its balancer"
                : $"write the timeout behind the name of its balancer, like --balancer {meant}={Words.Duration(timeout)}");
        }
        return named is [{ File: null, IdleTimeout: { } own, Preset.Name: var name }]
            ? $"--balancer {name}={Words.Duration(own)} and --idle-timeout {Words.Duration(timeout)} are about the same idle timeout: "
                + "write one of them"
            : null;
    }

    private GivenBalancer[] Parse(ArgumentResult result, string otherwise)
    {
        var found = new List<GivenBalancer>();
        foreach (var token in result.Tokens)
        {
            if (BalancerFile.IsPath(token.Value))
            {
                found.AddRange(ReadFile(result, token.Value));
                continue;
            }
            var equals = token.Value.IndexOf('=', StringComparison.Ordinal);
            var (name, timeout) = equals < 0 ? (token.Value, (string?)null) : (token.Value[..equals], token.Value[(equals + 1)..]);
            if (BalancerPresets.Find(name) is not { } preset)
            {
                var (problem, fix) = UnknownBalancer.Explain(
                    name, static (known, seconds) => string.Create(CultureInfo.InvariantCulture, $"{known}={seconds}s"), otherwise);
                result.AddError($"--balancer: {problem}; {fix}");
            }
            else if (timeout is null)
            {
                found.Add(new(preset, null));
            }
            else if (DurationOption.TryParse(timeout, _least, s_longest, out var idleTimeout))
            {
                found.Add(new(preset, idleTimeout));
            }
            else
            {
                result.AddError($"--balancer {name}=TIMEOUT takes {DurationOption.Expected(_least, s_longest)}, not '{TerminalText.Mask(timeout)}'");
            }
        }
        return [.. found];
    }

    private IEnumerable<GivenBalancer> ReadFile(ArgumentResult result, string path)
    {
        var read = BalancerFile.Read(path, out var problems);
        foreach (var problem in problems.Where(static problem => problem.Severity == Severity.Error))
        {
            result.AddError($"--balancer: {problem}");
        }
        if (read is not var (preset, timeout))
        {
            return [];
        }
        if (timeout < _least)
        {
            result.AddError($"--balancer: {TerminalText.Mask(path)}: the idle timeout is {Words.Duration(timeout)}, and this command takes {Words.Duration(_least)} or more");
            return [];
        }
        return [new(preset, timeout) { File = path }];
    }
}
