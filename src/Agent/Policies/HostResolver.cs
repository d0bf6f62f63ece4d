using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Keepalive.Agent.Policies;

/// <summary>Looks up the hosts that policies name, many at once and never for long.</summary>
/// <remarks>
/// A host that stops resolving keeps its last addresses: a DNS outage must not take keepalive off connections that are up. Lookups
/// that take too long are left behind, not waited for, because the system's resolver cannot be interrupted.
/// </remarks>
internal sealed class HostResolver
{
    /// <summary>Addresses taken of one host: more than any balancer has, and few enough that a hostile answer is no burden.</summary>
    public const int MaxAddresses = 256;

    private const int MaxParallel = 16;

    private readonly Func<string, CancellationToken, Task<IPAddress[]>> _lookup;
    private readonly TimeProvider _time;
    private readonly TimeSpan _perHost;
    private readonly TimeSpan _inAll;
    private Dictionary<string, IReadOnlyList<IPAddress>> _lastGood = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>A resolver that remembers nothing yet.</summary>
    /// <param name="lookup">Looks one host up; the system's resolver when null.</param>
    /// <param name="time">The clock of the limits.</param>
    /// <param name="perHost">The limit for one host; 2 s when null.</param>
    /// <param name="inAll">The limit for one call; 8 s when null.</param>
    public HostResolver(Func<string, CancellationToken, Task<IPAddress[]>>? lookup = null, TimeProvider? time = null,
        TimeSpan? perHost = null, TimeSpan? inAll = null)
    {
        _lookup = lookup ?? LookUpOnOwnThread;
        _time = time ?? TimeProvider.System;
        _perHost = perHost ?? TimeSpan.FromSeconds(2);
        _inAll = inAll ?? TimeSpan.FromSeconds(8);
    }

    /// <summary>The addresses of each host that resolves now or did before, in a stable order.</summary>
    /// <param name="hosts">The hosts; those not named any more are forgotten.</param>
    /// <param name="cancellationToken">Ends the call early with an exception; running out of time does not.</param>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public async Task<HostAnswers> ResolveAsync(
        IReadOnlyCollection<string> hosts, CancellationToken cancellationToken)
    {
        if (hosts.Count == 0)
        {
            // Without the threads that the limits' timers and the lookups would start.
            _lastGood = [];
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
            // Out of time: the hosts not reached keep what was known of them.
        }

        var known = new Dictionary<string, IReadOnlyList<IPAddress>>(StringComparer.OrdinalIgnoreCase);
        var (kept, cut) = (new HashSet<string>(StringComparer.OrdinalIgnoreCase), new HashSet<string>(StringComparer.OrdinalIgnoreCase));
        foreach (var host in hosts)
        {
            if (answers.TryGetValue(host, out var addresses))
            {
                known[host] = addresses.Count > MaxAddresses ? [.. addresses.Take(MaxAddresses)] : addresses;
                _ = addresses.Count > MaxAddresses && cut.Add(host);
            }
            else if (_lastGood.TryGetValue(host, out addresses))
            {
                known[host] = addresses;
                kept.Add(host);
            }
        }

        _lastGood = known;
        return new HostAnswers(known, kept, cut);
    }

    /// <summary>
    /// The system's resolver blocks its thread; a pool full of blocked threads would delay even the timers that end the wait.
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
            // One more than is taken tells that there are more; the order is settled first, so that it is always the same ones.
            return
            [
                .. found.Where(static address => address.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6)
                    .Distinct().OrderBy(static address => address.AddressFamily)
                    .ThenBy(static address => address.ToString(), StringComparer.Ordinal).Take(MaxAddresses + 1),
            ];
        }
        catch (Exception exception) when (exception is SocketException or ArgumentException
            || (exception is OperationCanceledException && !token.IsCancellationRequested))
        {
            return [];
        }
    }
}
