namespace Keepalive.Agent.Kubernetes;

/// <summary>Ends a request or a wait early, from any thread.</summary>
internal sealed class Waker(TimeProvider time) : IDisposable
{
    private readonly Lock _lock = new();
    private CancellationTokenSource _source = new();

    /// <summary>Ends what is under way, and what begins before <see cref="Renew"/>.</summary>
    public void Wake()
    {
        lock (_lock)
        {
            _source.Cancel();
        }
    }

    /// <summary>A token that the next call of <see cref="Wake"/> cancels.</summary>
    public CancellationToken Renew()
    {
        lock (_lock)
        {
            if (_source.IsCancellationRequested)
            {
                _source = new CancellationTokenSource();
            }
            return _source.Token;
        }
    }

    /// <summary>Waits, but not beyond <see cref="Wake"/>.</summary>
    public async Task Wait(TimeSpan span, CancellationToken stop)
    {
        CancellationToken woken;
        lock (_lock)
        {
            woken = _source.Token;
        }
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stop, woken);
        try
        {
            await Task.Delay(span, time, either.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // Whoever waits sees why.
        }
    }

    public void Dispose() => _source.Dispose();
}
