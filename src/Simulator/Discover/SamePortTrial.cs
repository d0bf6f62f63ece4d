using System.Net;
using System.Net.Sockets;

namespace Keepalive.Simulator.Discover;

/// <summary>Tries a SYN between the ports of a connection that does not answer any more.</summary>
internal sealed class SamePortTrial(DiscoverRequest request, Func<IPEndPoint, IPEndPoint?, IProbeSocket> connect, Func<TimeSpan> time) : IDisposable
{
    /// <summary>A SYN is sent again after 1, 3 and 7 s.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(4);

    private static readonly TimeSpan s_lossy = TimeSpan.FromSeconds(8);

    private ProbedConnection? _silent;
    private ProbedConnection? _again;

    /// <summary>Whether it was tried.</summary>
    public bool IsOver { get; private set; }

    /// <summary>Whether the SYN was answered; null if that says nothing.</summary>
    public bool? OpensAnew { get; private set; }

    /// <summary>Takes a connection that does not answer. It is disposed here.</summary>
    /// <returns>Whether it was taken.</returns>
    public bool Take(ProbedConnection silent)
    {
        if (_silent is not null || IsOver)
        {
            return false;
        }
        _silent = silent;
        return true;
    }

    /// <summary>Opens the second connection, and looks whether it is open.</summary>
    public void Poll(ConnectionBudget budget, in WayState way, TimeSpan now)
    {
        if (_silent is { Local: { } local } silent && _again is null && request.Pace.TryTake())
        {
            silent.Abort();
            try
            {
                _again = new ProbedConnection(connect(request.Remote, local), now, time);
                budget.Open();
            }
            catch (SocketException)
            {
                _silent = null;   // the next one that is silent
            }
        }
        if (_again is not { } again)
        {
            return;
        }
        again.Poll(default);
        if (again.Phase != ProbedPhase.Connecting || (again.Waited(now) > (way.IsLossy ? s_lossy : Patience) + (way.RoundTrip * 6) && way.IsHeard(now)))
        {
            // Where no new connections can be opened, or all SYNs may have been lost, that one was not answered says nothing.
            OpensAnew = again.Phase == ProbedPhase.Idle ? true : budget.Limited is null && way.Loss < 0.2 ? false : null;
            IsOver = true;
            again.Abort();
            (_again, _silent) = (null, null);
        }
    }

    public void Dispose()
    {
        _again?.Dispose();
        _silent?.Dispose();
    }
}
