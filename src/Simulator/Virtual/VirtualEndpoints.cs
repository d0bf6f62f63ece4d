namespace Keepalive.Simulator.Virtual;

/// <summary>Which endpoints new connections go to.</summary>
/// <remarks>
/// One that is taken out is tried every so often and comes back with the first answer. That is known as soon as it goes, because outages
/// are settled beforehand.
/// </remarks>
internal sealed class VirtualEndpoints(int endpoints, TimeSpan? check, Outages outages)
{
    private readonly long[] _backAt = new long[endpoints];

    public int Count => endpoints;

    /// <summary>Whether what happens on one connection matters to others.</summary>
    public bool IsShared => check is not null && endpoints > 1;

    /// <summary>An endpoint for a new connection: the one whose turn it is, or the next that is in the pool; where none is, all are.</summary>
    public int Choose(int turn, long now)
    {
        for (var i = 0; i < endpoints; i++)
        {
            var endpoint = (int)((uint)(turn + i) % (uint)endpoints);
            if (_backAt[endpoint] <= now)
            {
                return endpoint;
            }
        }
        return (int)((uint)turn % (uint)endpoints);
    }

    /// <summary>Takes one out, if it is in.</summary>
    /// <returns>Whether it was in.</returns>
    public bool Remove(int endpoint, long now)
    {
        if (!IsShared || _backAt[endpoint] > now)
        {
            return false;
        }
        var next = now + check!.Value.Ticks;
        while (outages.At(endpoint, next) is { } outage)
        {
            // The first check at or after its end.
            next += (outage.To - next + check.Value.Ticks - 1) / check.Value.Ticks * check.Value.Ticks;
        }
        _backAt[endpoint] = next;
        return true;
    }
}
