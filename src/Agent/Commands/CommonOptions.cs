using System.CommandLine;
using Keepalive.Agent.Policies;
using Keepalive.Config;

namespace Keepalive.Agent.Commands;

/// <summary>Options that several commands take, declared once.</summary>
internal static class CommonOptions
{
    public const string DefaultStateDirectory = "/run/keepalive-agent";

    /// <summary>The directory that survives a reboot.</summary>
    public const string DefaultDataDirectory = "/var/lib/keepalive-agent";

    public static Option<string[]> Policies(bool required) => Paths(new("--policies")
    {
        Description = "Policy files, or directories of *.yaml and *.yml files",
        HelpName = "PATH",
        Required = required,
    });

    public static Option<string[]> Namespaces() => Paths(new("--netns")
    {
        Description = "Only this namespace, like /proc/PID/ns/net; may be repeated",
        HelpName = "PATH",
    });

    public static Option<string?> Cgroup()
    {
        var option = new Option<string?>("--cgroup")
        {
            Description = "bpf: cgroup of connections that are set at once (default: root)",
            HelpName = "DIR",
        };
        option.Validators.Add(static result =>
        {
            if (result.Tokens is [{ Value.Length: 0 }])
            {
                result.AddError("--cgroup takes a directory, not ''");
            }
        });
        return option;
    }

    public static Option<ExistingMode> Existing() => WordOption.Limit(
        new Option<ExistingMode>("--existing")
        {
            Description = "Treatment of values that an application set (default tighten)",
        },
        ("tighten", ExistingMode.Tighten),
        ("keep", ExistingMode.Keep),
        ("replace", ExistingMode.Replace));

    /// <summary>The values for connections that no policy selects.</summary>
    public static Option<KeepaliveSettings?> Keepalive(string description) => new(PolicyInput.KeepaliveOption)
    {
        Description = description,
        HelpName = "T/I/P",
        CustomParser = static result =>
        {
            if (KeepaliveText.TryParse(result.Tokens.Count == 1 ? result.Tokens[0].Value : "", out var settings, out var problem))
            {
                return settings;
            }
            result.AddError($"{PolicyInput.KeepaliveOption} {problem}");
            return null;
        },
    };

    public static Option<Side> Side() => WordOption.Limit(
        new Option<Side>("--side")
        {
            Description = "Connections to destinations, or also accepted (default client)",
        },
        ("client", Config.Side.Client),
        ("both", Config.Side.Both));

    public static Option<string> StateDirectory() => new("--state-dir")
    {
        Description = "Lock, state file, unix socket",
        HelpName = "DIR",
        DefaultValueFactory = _ => DefaultStateDirectory,
    };

    /// <summary>The policy files of commands that work only on policies.</summary>
    public static Argument<string[]> PolicyPaths() => new("PATH")
    {
        Description = "Policy files, directories of *.yaml and *.yml files, or - for standard input",
        Arity = ArgumentArity.OneOrMore,
    };

    /// <summary>Balancers by name, and the idle timeout of one without a name.</summary>
    public static BalancerArguments Balancers(bool several) => new(several, TimeSpan.FromSeconds(1), "--idle-timeout TIMEOUT");

    /// <summary>Lets an option take any number of paths. A word that begins with a dash is a mistyped option, not a path.</summary>
    private static Option<string[]> Paths(Option<string[]> option)
    {
        option.Arity = ArgumentArity.OneOrMore;
        option.AllowMultipleArgumentsPerToken = true;
        option.Validators.Add(result =>
        {
            foreach (var token in result.Tokens)
            {
                if (token.Value.StartsWith('-'))
                {
                    result.AddError($"there is no option '{token.Value}' (a path that begins with a dash is written ./{token.Value})");
                }
            }
        });
        return option;
    }

    public static string[] Values(this ParseResult result, Option<string[]> option) => result.GetValue(option) ?? [];
}
