using System.Collections.Immutable;

namespace Keepalive.Simulator.Scenarios;

/// <summary>How long a server works on a request before it sends the response.</summary>
internal abstract record ServiceTime
{
    /// <summary>A response that is usual: the one value, the mean, or the shortest of those recorded.</summary>
    public abstract TimeSpan Usual { get; }
}

/// <summary>Always the same.</summary>
internal sealed record FixedService(TimeSpan Time) : ServiceTime
{
    public override TimeSpan Usual => Time;

    public override string ToString() => Words.Duration(Time);
}

/// <summary>Exponentially distributed.</summary>
internal sealed record ExponentialService(TimeSpan Mean) : ServiceTime
{
    public override TimeSpan Usual => Mean;

    public override string ToString() => $"exponential, mean {Words.Duration(Mean)}";
}

/// <summary>As recorded.</summary>
/// <param name="Times">Of each client's requests in turn, from the beginning again after the last. Clients beyond the last use the same lists again.</param>
internal sealed record TraceService(ImmutableArray<ImmutableArray<TimeSpan>> Times) : ServiceTime
{
    public override TimeSpan Usual => Times.SelectMany(times => times).Min();

    public override string ToString() => $"recorded, {Words.Duration(Usual)} to {Words.Duration(Times.SelectMany(times => times).Max())}";
}
