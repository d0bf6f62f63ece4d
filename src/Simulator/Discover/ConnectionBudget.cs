using System.Net.Sockets;

namespace Keepalive.Simulator.Discover;

/// <summary>How many connections may be open, and how many in all. The far end, a box or this machine may allow fewer.</summary>
internal sealed class ConnectionBudget(DiscoverRequest request)
{
    /// <summary>Connections after all, in relation to those at a time.</summary>
    private const int MaxRounds = 4;

    private const int MostRefusals = 10;

    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_retry = TimeSpan.FromSeconds(3);

    private TimeSpan _refusedAt;
    private TimeSpan _retryAt;
    private int _refusals;
    private int _growth = 1;

    /// <summary>Connections at a time.</summary>
    public int Limit { get; private set; } = request.Connections;

    /// <summary>Connections that were opened.</summary>
    public int Opened { get; private set; }

    /// <summary>Why no more can be opened; null if they can.</summary>
    public string? Limited { get; private set; }

    /// <summary>Since when all were refused; null if the last was not.</summary>
    public TimeSpan? RefusedSince { get; private set; }

    /// <summary>Whether no more are opened.</summary>
    public bool IsOver => Opened >= MaxRounds * request.Connections || IsRefused;

    /// <summary>Whether the far end has refused so many one after the other that it is not asked again.</summary>
    public bool IsRefused => _refusals >= MostRefusals;

    /// <summary>Whether to wait a moment after a refusal.</summary>
    public bool IsPausing(TimeSpan now) => _refusals > 0 && now < _refusedAt + s_pause;

    /// <summary>Whether another may be opened beside so many. A limit that was met is tried again from time to time.</summary>
    public bool Allows(int live, TimeSpan now) => !IsOver && (live < Limit || (Limited is not null && live < request.Connections && now >= _retryAt));

    public void Open() => Opened++;

    /// <summary>Takes notice of a connection that could not be opened: those that are open have to be enough.</summary>
    public void Refuse(string why, int live, TimeSpan now)
    {
        (Limit, Limited, _refusedAt, _growth) = (Math.Max(2, live), why, now, 1);
        RefusedSince ??= now;
        _refusals++;
        _retryAt = now + (s_retry * Math.Pow(2, Math.Min(_refusals, 4) - 1));
    }

    /// <summary>Takes notice of a connection that is open.</summary>
    public void Accept() => RefusedSince = null;

    /// <summary>Takes notice of a connection that has lived for a while, although others were refused before.</summary>
    public void Keep(ProbedConnection one, int live, TimeSpan now)
    {
        if (Limited is not null && one.Phase == ProbedPhase.Idle && one.BeganAt > _refusedAt && now - one.OpenedAt > s_pause)
        {
            Limit = Math.Min(request.Connections, Math.Max(Limit, live + _growth));
            Limited = Limit < request.Connections ? Limited : null;
            (_refusedAt, _refusals, _growth) = (now, 0, Math.Min(_growth * 2, request.Connections));
        }
    }

    /// <summary>Forgets the limit: what was refused was refused for another reason.</summary>
    public void Forgive() => Limited = null;

    /// <summary>An error in words.</summary>
    public static string Words(SocketError error) => error switch
    {
        SocketError.ConnectionRefused => "the connection was refused",
        SocketError.TimedOut => "the connection attempt was not answered",
        SocketError.ConnectionReset => "the connection was reset at once",
        SocketError.HostUnreachable => "there is no route to the host",
        SocketError.NetworkUnreachable => "the network is unreachable",
        SocketError.TooManyOpenSockets => "no descriptor is left (ulimit -n)",
        SocketError.AddressNotAvailable => "no local port is left",
        _ => new SocketException((int)error).Message,
    };
}
