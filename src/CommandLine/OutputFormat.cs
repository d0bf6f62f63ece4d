namespace Keepalive.CommandLine;

/// <summary>How a command prints.</summary>
public enum OutputFormat
{
    /// <summary>For people: a table, or lines of text.</summary>
    Table,

    /// <summary>One JSON object per line.</summary>
    Json,
}
