namespace Keepalive.Agent.Log;

/// <summary>How many lines may still be logged: so many in each second, so that an event of every socket does not flood the log.</summary>
internal sealed class LineAllowance(TimeProvider time, int linesPerSecond)
{
    private long _renewedAt = time.GetTimestamp();
    private int _lines;
    private int _left;

    /// <summary>Takes one line; false, and counted as left out, where there is none left or it <paramref name="mayBeSaid"/> not.</summary>
    public bool Take(bool mayBeSaid = true)
    {
        if (mayBeSaid && _lines < linesPerSecond)
        {
            _lines++;
            return true;
        }
        _left++;
        return false;
    }

    /// <summary>Begins anew once a second is over.</summary>
    /// <param name="left">How many lines were left out.</param>
    public bool TryRenew(out int left)
    {
        left = _left;
        if (_lines + _left == 0 || time.GetElapsedTime(_renewedAt) < TimeSpan.FromSeconds(1))
        {
            return false;
        }
        _renewedAt = time.GetTimestamp();
        _lines = _left = 0;
        return true;
    }
}
