using System.CommandLine;

namespace Keepalive.CommandLine;

/// <summary>The option that commands with a table share.</summary>
public static class OutputOption
{
    /// <summary><c>--output</c>, <c>-o</c>.</summary>
    public static Option<OutputFormat> Create() => WordOption.Limit(
        new Option<OutputFormat>("--output", "-o") { Description = "table (default), or json: one object per line" },
        ("table", OutputFormat.Table),
        ("json", OutputFormat.Json));
}
