namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Determines when each slice of spread changes is due. The time that the earlier slices took is part of the interval.</summary>
/// <param name="time">The clock.</param>
/// <param name="scope">The interval, and the token that ends it early.</param>
/// <param name="slices">The number of slices.</param>
internal sealed class SpreadPace(TimeProvider time, PassScope scope, int slices)
{
    private const int MaxSlices = 16;

    private static readonly TimeSpan s_apart = TimeSpan.FromMilliseconds(100);

    private readonly long _start = time.GetTimestamp();

    /// <summary>The limit of slices: each one costs a run of its own over the namespace.</summary>
    public static int Slices(PassScope scope) => (int)Math.Clamp(scope.SpreadOver / s_apart, 1, MaxSlices);

    /// <summary>The time spent waiting.</summary>
    public TimeSpan Waited { get; private set; }

    /// <summary>Waits until a slice is due.</summary>
    /// <param name="slice">Its number, from 0.</param>
    public void WaitFor(int slice)
    {
        var begun = time.GetTimestamp();
        var left = (scope.SpreadOver * slice / slices) - time.GetElapsedTime(_start, begun);
        if (left > TimeSpan.Zero)
        {
            scope.Stop.WaitHandle.WaitOne(left);
            Waited += time.GetElapsedTime(begun);
        }
    }
}
