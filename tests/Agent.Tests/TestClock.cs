using Microsoft.Extensions.Time.Testing;

namespace Keepalive.Agent.Tests;

/// <summary>A clock that only the test advances. It lists the timers that wait for it.</summary>
internal sealed class TestClock() : FakeTimeProvider(new DateTimeOffset(2026, 11, 23, 12, 0, 0, TimeSpan.Zero))
{
    private readonly Lock _lock = new();
    private readonly HashSet<Timer> _armed = [];

    /// <summary>The full length of each armed timer.</summary>
    public IReadOnlyList<TimeSpan> Waits
    {
        get
        {
            lock (_lock)
            {
                return [.. _armed.Select(timer => timer.Wait)];
            }
        }
    }

    /// <summary>Advances to the end of the earliest wait that is not in <paramref name="limits"/>; null if there is none.</summary>
    /// <returns>The length of that wait.</returns>
    public TimeSpan? PassWait(params ReadOnlySpan<TimeSpan> limits)
    {
        Timer? next = null;
        lock (_lock)
        {
            foreach (var timer in _armed)
            {
                if (!limits.Contains(timer.Wait) && (next is null || timer.Due < next.Due))
                {
                    next = timer;
                }
            }
        }
        if (next is null)
        {
            return null;
        }
        var (wait, due) = (next.Wait, next.Due);
        var left = due - GetUtcNow();
        Advance(left > TimeSpan.Zero ? left : TimeSpan.Zero);
        if (IsArmed(next, due))
        {
            // Its owner was arming it while the clock was advanced, so it began later.
            Advance(wait);
        }
        return wait;
    }

    private bool IsArmed(Timer timer, DateTimeOffset due)
    {
        lock (_lock)
        {
            return _armed.Contains(timer) && timer.Due == due;
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this);
        timer.Inner = base.CreateTimer(
            inner =>
            {
                timer.Disarm();
                callback(inner);
            },
            state,
            Timeout.InfiniteTimeSpan,
            period);
        timer.Change(dueTime, period);
        return timer;
    }

    private sealed class Timer(TestClock clock) : ITimer
    {
        public ITimer Inner { get; set; } = null!;

        public TimeSpan Wait { get; private set; }

        public DateTimeOffset Due { get; private set; }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            if (dueTime <= TimeSpan.Zero)
            {
                // It ends at once, and what its end calls is not called under the lock.
                Disarm();
                return Inner.Change(dueTime, period);
            }
            // Nobody sees a timer that is half armed, and advances the clock past it before it has begun.
            lock (clock._lock)
            {
                (Wait, Due) = (dueTime, clock.GetUtcNow() + dueTime);
                clock._armed.Add(this);
                return Inner.Change(dueTime, period);
            }
        }

        public void Disarm()
        {
            lock (clock._lock)
            {
                clock._armed.Remove(this);
            }
        }

        public void Dispose()
        {
            Disarm();
            Inner.Dispose();
        }

        public ValueTask DisposeAsync()
        {
            Disarm();
            return Inner.DisposeAsync();
        }
    }
}
