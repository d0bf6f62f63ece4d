namespace Keepalive.Agent.Reports;

/// <summary>How <c>check</c> prints.</summary>
internal enum CheckFormat
{
    /// <summary>For people: one line for each problem, then one for each policy.</summary>
    Table,

    /// <summary>One JSON object per line.</summary>
    Json,

    /// <summary>A SARIF log, which code scanning reads.</summary>
    Sarif,

    /// <summary>Workflow commands, which GitHub shows at the lines of a pull request.</summary>
    GitHub,
}
