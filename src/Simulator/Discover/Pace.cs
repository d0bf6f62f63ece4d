namespace Keepalive.Simulator.Discover;

/// <summary>Spaces new connections, those to all far ends together.</summary>
internal sealed class Pace(TimeSpan apart, TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly long _began = time.GetTimestamp();
    private TimeSpan _next;

    /// <summary>Whether a connection may be opened now. If so, the next may be opened some time later.</summary>
    public bool TryTake()
    {
        lock (_lock)
        {
            var now = time.GetElapsedTime(_began);
            if (now < _next)
            {
                return false;
            }
            _next = now + apart;
            return true;
        }
    }
}
