using System.CommandLine;
using System.Globalization;

namespace Keepalive.CommandLine;

/// <summary>Options that take a whole number within a range.</summary>
public static class NumberOption
{
    /// <summary>One that is wrong is an error of the command line, whatever is written.</summary>
    public static Option<int> Create(string name, string description, int least, int most, int value) => Add(new Option<int>(name)
    {
        Description = description,
        DefaultValueFactory = _ => value,
        CustomParser = result => Parse(result, name, least, most) ?? value,
    });

    /// <summary>One that need not be there.</summary>
    public static Option<int?> Create(string name, string description, int least, int most) => Add(new Option<int?>(name)
    {
        Description = description,
        CustomParser = result => Parse(result, name, least, most),
    });

    private static Option<T> Add<T>(Option<T> option)
    {
        (option.HelpName, option.Arity) = ("N", ArgumentArity.ExactlyOne);
        return option;
    }

    private static int? Parse(System.CommandLine.Parsing.ArgumentResult result, string name, int least, int most)
    {
        if (result.Tokens is [var token] && int.TryParse(token.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most)
        {
            return number;
        }
        result.AddError($"{name} takes a number from {least} to {most}");
        return null;
    }
}
