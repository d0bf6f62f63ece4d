namespace Keepalive.Agent.Top;

/// <summary>How much trouble a row shows. Rows in more trouble come first.</summary>
internal enum RowTrouble
{
    /// <summary>None.</summary>
    None,

    /// <summary>Connections that nothing probes, or that could not be set.</summary>
    Unprotected,

    /// <summary>Unanswered probes, or an endpoint out of the pool.</summary>
    Unanswered,
}

/// <summary>One row of the table.</summary>
internal sealed record TopRow
{
    /// <summary>The identity of what it shows: the selection follows it.</summary>
    public required string Key { get; init; }

    /// <summary>The workload, the destination, or the local end.</summary>
    public required string Name { get; init; }

    /// <summary>The destination, the policy, or the remote end.</summary>
    public required string Other { get; init; }

    /// <summary>The process, or the values of keepalive.</summary>
    public required string Detail { get; init; }

    public int Connections { get; init; }

    public int Unprotected { get; init; }

    public int Unanswered { get; init; }

    public int? EndsAfter { get; init; }

    /// <summary>Milliseconds to the next probe when it was read; null if none is due.</summary>
    public long? NextProbe { get; init; }

    /// <summary>The length of the whole wait for it in milliseconds.</summary>
    public long? ProbeWait { get; init; }

    public double? RoundTrip { get; init; }

    /// <summary>Connections that were set in the last minutes; for a connection the seconds since it was set.</summary>
    public long? Set { get; init; }

    /// <summary>Why it is in trouble, in a word; null if the numbers say it.</summary>
    public string? Why { get; init; }

    public RowTrouble Trouble { get; init; }

    /// <summary>The connections that Enter lists; null if the row is one connection.</summary>
    public Focus? Opens { get; init; }
}
