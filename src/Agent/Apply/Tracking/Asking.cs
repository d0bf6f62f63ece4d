using Keepalive.Linux;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Makes sockets send one probe now: TCP_KEEPIDLE 1, and its own value again once the probe has gone.</summary>
/// <remarks>
/// <code>
///   KEEPIDLE 1 ──► the timer is due ──► next tick: one probe, timer set to KEEPINTVL ──► KEEPIDLE 700: timer set to what is left of 700 s
/// </code>
/// Written again before the tick, the value would cancel the probe. All sockets of a pass wait together. What is written is noted first, so that an agent that
/// finds a socket with 1 after a crash knows what belongs there.
/// </remarks>
/// <param name="time">The clock.</param>
/// <param name="ledger">Notes what is written.</param>
/// <param name="asker">Writes.</param>
internal sealed class Asking(TimeProvider time, SocketLedger ledger, IAsker asker)
{
    /// <summary>Sockets that are asked in one pass.</summary>
    public const int Most = 256;

    /// <summary>A tick is 10 ms at most; a socket that its application has locked is tried again by the kernel after 50 ms (net/ipv4/tcp_timer.c).</summary>
    private const int Looks = 5;

    private static readonly TimeSpan s_apart = TimeSpan.FromMilliseconds(20);

    private readonly List<AskedSocket> _asked = [];
    private long _begun;

    /// <summary>Sockets that the last pass has left to later ones.</summary>
    public int Left { get; private set; }

    /// <summary>Begins to ask the sockets that a pass is to ask.</summary>
    public void Begin(PassContext pass, NamespaceInventory namespaces)
    {
        _asked.Clear();
        Left = 0;
        if (pass.Scope is { DryRun: true } or { Only: true } or { Last: true })
        {
            return;
        }
        foreach (var (inode, cookies) in pass.Scope.Ask)
        {
            if (namespaces.Find(inode) is not { } watched)
            {
                continue;
            }
            foreach (var cookie in cookies)
            {
                if (watched.Sockets.TryGetValue(cookie, out var socket) && AskedSocket.TryCreate(watched, socket) is { } asked)
                {
                    if (_asked.Count < Most)
                    {
                        _asked.Add(asked);
                    }
                    else
                    {
                        Left++;
                    }
                }
            }
        }
        if (_asked.Count > 0)
        {
            ledger.BeginAsking();
            Try(() => asker.Begin(_asked, pass));
        }
        _asked.RemoveAll(static one => one.State == AskState.Planned);
        _begun = time.GetTimestamp();
    }

    /// <summary>Waits until the probes have gone, gives the sockets their values again, and reports those that were asked.</summary>
    /// <returns>How many were.</returns>
    public int End(PassContext pass)
    {
        for (var look = 1; look <= Looks && _asked.Exists(static one => one.State == AskState.Written); look++)
        {
            var left = s_apart - (look == 1 ? time.GetElapsedTime(_begun) : TimeSpan.Zero);
            if (left > TimeSpan.Zero)
            {
                pass.Scope.Stop.WaitHandle.WaitOne(left);
            }
            var isLast = look == Looks || pass.Scope.Stop.IsCancellationRequested;
            Try(() => asker.End(_asked, isLast));
        }
        var count = 0;
        foreach (var asked in _asked)
        {
            if (asked.State == AskState.Written)
            {
                SocketLedger.LoseAsked(asked);
                asked.Watched.NextTry = pass.Number + 1;
            }
            else if (asked.Socket.Standing.IsUnsettled)
            {
                asked.Watched.NextTry = pass.Number + 1;
            }
            if (asked.HasProbed)
            {
                count++;
                pass.Report(asked.Socket, asked: true);
            }
        }
        ledger.EndAsking();
        _asked.Clear();
        return count;
    }

    private static void Try(Action write)
    {
        try
        {
            write();
        }
        catch (LinuxException)
        {
            // Which were written to is not known: those that are not known to have their values are given them by the next pass.
        }
    }
}
