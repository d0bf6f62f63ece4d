using Keepalive.Linux;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Makes sockets send one probe now. It sets TCP_KEEPIDLE to 1, and restores it after the probe was sent.</summary>
/// <remarks>
/// <code>
///   KEEPIDLE 1 ──► the timer is due ──► next tick: one probe, timer set to KEEPINTVL ──► KEEPIDLE 700: timer set to what is left of 700 s
/// </code>
/// If the value is restored before the tick, no probe is sent. All sockets of a pass wait together. Each write is noted first. After a
/// crash, the next agent therefore knows the value to restore.
/// </remarks>
/// <param name="time">The clock.</param>
/// <param name="ledger">Notes each change.</param>
/// <param name="asker">Writes to the sockets.</param>
internal sealed class Asking(TimeProvider time, SocketLedger ledger, IAsker asker)
{
    /// <summary>The maximum number of sockets that are asked in one pass.</summary>
    public const int Most = 256;

    /// <summary>The maximum number of checks whether the probes were sent. A tick is 10 ms at most. If the application has locked the
    /// socket, the kernel tries again after 50 ms (net/ipv4/tcp_timer.c).</summary>
    private const int Looks = 5;

    private static readonly TimeSpan s_apart = TimeSpan.FromMilliseconds(20);

    private readonly List<AskedSocket> _asked = [];
    private long _begun;

    /// <summary>The number of sockets that the last pass left for later ones.</summary>
    public int Left { get; private set; }

    /// <summary>Begins to ask the sockets that the pass must ask.</summary>
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

    /// <summary>Waits until the probes are sent, restores the values of the sockets, and reports the sockets that were asked.</summary>
    /// <returns>The number of sockets that were asked.</returns>
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
            // It is unknown which sockets were written. The next pass restores the values of all sockets that may still need it.
        }
    }
}
