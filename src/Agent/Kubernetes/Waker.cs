namespace Keepalive.Agent.Kubernetes;

/// <summary>Ends a request or a wait early, from any thread.</summary>
internal sealed class Waker(TimeProvider time) : IDisposable
{
    private readonly Lock _lock = new();
    private CancellationTokenSource _source = new();

    /// <summary>Ends the running request or wait, and those that begin before <see cref="Renew"/>.</summary>
    public void Wake()
    {
        lock (_lock)
        {
            _source.Cancel();
        }
    }

    /// <summary>Returns a token that the next call of <see cref="Wake"/> cancels.</summary>
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

    /// <summary>Waits until the time is over or <see cref="Wake"/> is called.</summary>
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
            // The caller checks the reason.
        }
    }

    public void Dispose() => _source.Dispose();
}
