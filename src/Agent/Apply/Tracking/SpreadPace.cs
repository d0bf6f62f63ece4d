namespace Keepalive.Agent.Apply.Tracking;

/// <summary>When each slice of changes that are spread over some time comes: what carrying out the ones before takes is part of that time.</summary>
/// <param name="time">The clock.</param>
/// <param name="scope">How long, and what ends it early.</param>
/// <param name="slices">How many there are.</param>
internal sealed class SpreadPace(TimeProvider time, PassScope scope, int slices)
{
    private const int MostSlices = 16;

    private static readonly TimeSpan s_apart = TimeSpan.FromMilliseconds(100);

    private readonly long _start = time.GetTimestamp();

    /// <summary>Into how many slices to cut, at most: each costs a look of its own at the namespace.</summary>
    public static int Slices(PassScope scope) => (int)Math.Clamp(scope.SpreadOver / s_apart, 1, MostSlices);

    /// <summary>What was spent waiting.</summary>
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
