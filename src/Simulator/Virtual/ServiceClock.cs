using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Virtual;

/// <summary>How long a server works on each request.</summary>
/// <remarks>The random numbers are a stream of their own, so that requests begin at the same times whatever the service time.</remarks>
internal sealed class ServiceClock(ServiceTime service)
{
    /// <summary>For the next request of a client, ticks.</summary>
    /// <param name="client">The client; counts a request once it has begun.</param>
    /// <param name="number">Its number, from 0.</param>
    public long Next(ref VirtualClient client, int number)
    {
        switch (service)
        {
            case FixedService same:
                return same.Time.Ticks;
            case ExponentialService exponential:
                return client.ServiceRandom.Exponential(exponential.Mean.Ticks);
            case TraceService trace:
                var times = trace.Times[number % trace.Times.Length];
                return times[client.Requests % times.Length].Ticks;
            default:
                throw new InvalidOperationException($"no clock for {service}");
        }
    }
}
