using System.Collections.Immutable;

namespace Keepalive.Simulator.Scenarios;

/// <summary>When a client makes its requests. Gaps are from the end of one request to the start of the next.</summary>
internal abstract record Arrival
{
    /// <summary>The mean gap where the kind of arrival has one that does not depend on anything else.</summary>
    public virtual TimeSpan? MeanGap => null;
}

/// <summary>Gaps are exponentially distributed.</summary>
internal sealed record PoissonArrival(TimeSpan Mean) : Arrival
{
    public override TimeSpan? MeanGap => Mean;
}

/// <summary>All gaps are the same, but for the first: each client makes its first request at a random time within one.</summary>
internal sealed record FixedArrival(TimeSpan Every) : Arrival
{
    public override TimeSpan? MeanGap => Every;
}

/// <summary>Busy times with exponential gaps, and pauses between; both last exponentially distributed times.</summary>
/// <param name="On">The mean busy time.</param>
/// <param name="Off">The mean pause.</param>
/// <param name="Mean">The mean gap while busy.</param>
internal sealed record OnOffArrival(TimeSpan On, TimeSpan Off, TimeSpan Mean) : Arrival;

/// <summary>As recorded: a client's requests begin at these times, or when the one before has ended.</summary>
/// <param name="Times">For each client, ascending; clients beyond the last make none.</param>
internal sealed record TraceArrival(ImmutableArray<ImmutableArray<TimeSpan>> Times) : Arrival;
