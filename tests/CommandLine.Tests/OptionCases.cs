using System.CommandLine;
using Xunit;

namespace Keepalive.CommandLine.Tests;

/// <summary>Every option of some commands, and what must hold for each, with a missing, repeated or mistyped value.</summary>
internal sealed class OptionCases(RootCommand root)
{
    /// <summary>Each name of each option that takes a value, behind its command's.</summary>
    public TheoryData<string, string> All
    {
        get
        {
            var all = new TheoryData<string, string>();
            foreach (var command in root.Subcommands)
            {
                foreach (var option in command.Options.Where(option => option.ValueType != typeof(bool)))
                {
                    foreach (var name in option.Aliases.Append(option.Name))
                    {
                        all.Add(command.Name, name);
                    }
                }
            }
            return all;
        }
    }

    public void WithoutAValue_IsAProblem(string command, string option)
    {
        Assert.NotEmpty(Problems(command, option));
        Assert.NotEmpty(Problems(command, option + "="));
        Assert.Contains(Problems(command, option, ""), problem => problem.EndsWith(" is empty", StringComparison.Ordinal));
    }

    public void BeforeAnother_DoesNotUseItAsItsValue(string command, string option)
    {
        foreach (var other in Command(command).Options.SelectMany(o => o.Aliases.Append(o.Name)))
        {
            Assert.Contains(Problems(command, option, other), problem => problem.EndsWith($" takes a value, and {other} is an option", StringComparison.Ordinal));
            Assert.Contains(Problems(command, option + "=", other), problem => problem.EndsWith($" takes a value, and {other} is an option", StringComparison.Ordinal));
        }
        Assert.Contains(Problems(command, option, "--dry-rnu"), problem => problem.Contains("'--dry-rnu' looks like an option", StringComparison.Ordinal));
    }

    public void InvalidOrTwice_DoesNotThrow(string command, string option)
    {
        Problems(command, option, "?!");
        var twice = Problems(command, option, "1", option, "1");
        var several = Command(command).Options.Single(o => o.Name == option || o.Aliases.Contains(option)).Arity.MaximumNumberOfValues > 1;

        Assert.True(several || twice.Count > 0);
    }

    /// <summary>The problems that the program reports for these words.</summary>
    public IReadOnlyList<string> Problems(params string[] words) =>
        GivenValues.Problems(root.Parse(words, new ParserConfiguration { ResponseFileTokenReplacer = null }));

    private Command Command(string name) => root.Subcommands.Single(command => command.Name == name);
}
