using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Keepalive.Agent.Policies;

/// <summary>Looks up the hosts that policies name, many at a time and with a time limit.</summary>
/// <remarks>
/// Connections stay where they are when a name gets another address, and live for days. So a host keeps the addresses that it had: neither another answer
/// nor a DNS outage, nor a restart of the agent during one, may remove keepalive from open connections. Lookups that take too long are abandoned, because
/// the system's resolver cannot be interrupted.
/// </remarks>
internal sealed class HostResolver
{
    /// <summary>The maximum number of addresses of one host. No balancer has more, and a hostile answer of this size causes no
    /// load.</summary>
    public const int MaxAddresses = 256;

    /// <summary>The maximum number of earlier addresses of one host that are kept, the latest ones.</summary>
    public const int MaxEarlier = 64;

    private const int MaxParallel = 16;

    private readonly Func<string, CancellationToken, Task<IPAddress[]>> _lookup;
    private readonly TimeProvider _time;
    private readonly TimeSpan _perHost;
    private readonly TimeSpan _inAll;
    private readonly KeptHosts? _disk;
    private Dictionary<string, KnownHost>? _known;

    /// <summary>Creates a resolver without earlier answers.</summary>
    /// <param name="lookup">Looks one host up; null for the system's resolver.</param>
    /// <param name="time">The clock of the limits.</param>
    /// <param name="perHost">The limit for one host; null for 2 s.</param>
    /// <param name="inAll">The limit for one call; null for 8 s.</param>
    /// <param name="disk">Keeps the addresses for the next agent; null if there is none.</param>
    public HostResolver(Func<string, CancellationToken, Task<IPAddress[]>>? lookup = null, TimeProvider? time = null,
        TimeSpan? perHost = null, TimeSpan? inAll = null, KeptHosts? disk = null)
    {
        _disk = disk;
        _lookup = lookup ?? LookUpOnOwnThread;
        _time = time ?? TimeProvider.System;
        _perHost = perHost ?? TimeSpan.FromSeconds(2);
        _inAll = inAll ?? TimeSpan.FromSeconds(8);
    }

    /// <summary>Returns the addresses that each host has now or had before, in a stable order.</summary>
    /// <param name="hosts">The hosts. The answers of other hosts are removed.</param>
    /// <param name="cancellationToken">Ends the call early with an exception. The time limit ends it without one.</param>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public async Task<HostAnswers> ResolveAsync(
        IReadOnlyCollection<string> hosts, CancellationToken cancellationToken)
    {
        if (hosts.Count == 0)
        {
            // An early return avoids the threads that the timers of the limits and the lookups would start.
            _known = [];
            return HostAnswers.None;
        }
        var answers = new ConcurrentDictionary<string, IReadOnlyList<IPAddress>>(StringComparer.OrdinalIgnoreCase);
        using var deadline = new CancellationTokenSource(_inAll, _time);
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        try
        {
            var options = new ParallelOptions { MaxDegreeOfParallelism = MaxParallel, CancellationToken = ending.Token };
            await Parallel.ForEachAsync(hosts, options, async (host, token) =>
            {
                if (await LookUpAsync(host, token) is { Length: > 0 } found)
                {
                    answers[host] = found;
                }
            });
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // The time is over. Hosts without an answer keep their earlier addresses.
        }

        var before = _known ?? _disk?.Read() ?? [];
        var known = new Dictionary<string, KnownHost>(StringComparer.OrdinalIgnoreCase);
        var (kept, cut) = (new HashSet<string>(StringComparer.OrdinalIgnoreCase), new HashSet<string>(StringComparer.OrdinalIgnoreCase));
        foreach (var host in hosts)
        {
            var last = before.GetValueOrDefault(host);
            if (answers.TryGetValue(host, out var addresses))
            {
                known[host] = new KnownHost(addresses.Count > MaxAddresses ? [.. addresses.Take(MaxAddresses)] : addresses, last);
                _ = addresses.Count > MaxAddresses && cut.Add(host);
            }
            else if (last is not null)
            {
                known[host] = last;
                kept.Add(host);
            }
        }
        _known = known;
        _disk?.Write(known);
        return new HostAnswers(known.ToDictionary(static host => host.Key, static host => host.Value.All, StringComparer.OrdinalIgnoreCase), kept, cut);
    }

    /// <summary>
    /// Looks a host up on its own thread, because the system's resolver blocks the thread. If it blocked all threads of the pool, even the
    /// timers of the limits would be late.
    /// </summary>
    private static Task<IPAddress[]> LookUpOnOwnThread(string host, CancellationToken token) =>
        Task.Factory.StartNew(() => Dns.GetHostAddresses(host), token, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private async Task<IPAddress[]> LookUpAsync(string host, CancellationToken token)
    {
        using var limit = new CancellationTokenSource(_perHost, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, token);
        try
        {
            var found = await _lookup(host, either.Token).WaitAsync(either.Token);
            // One address above the maximum shows that there are more. The sort before the cut makes the same addresses remain each time.
            return
            [
                .. KnownHost.Ordered(found.Where(static address => address.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6))
                    .Take(MaxAddresses + 1),
            ];
        }
        catch (Exception exception) when (exception is SocketException or ArgumentException
            || (exception is OperationCanceledException && !token.IsCancellationRequested))
        {
            return [];
        }
    }
}
