using System.Net;

namespace Keepalive.Agent.Policies;

/// <summary>The addresses of a host: those of the last answer, and those that it had before.</summary>
internal sealed class KnownHost
{
    /// <param name="current">The addresses of the last answer.</param>
    /// <param name="before">The host until then; null if it was not known.</param>
    public KnownHost(IReadOnlyList<IPAddress> current, KnownHost? before)
        : this(current, before is null ? [] : [.. before.Current.Concat(before.Earlier).Except(current).Take(HostResolver.MaxEarlier)])
    {
    }

    /// <param name="current">The addresses of the last answer.</param>
    /// <param name="earlier">Other addresses, the latest first.</param>
    public KnownHost(IReadOnlyList<IPAddress> current, IReadOnlyList<IPAddress> earlier)
    {
        (Current, Earlier) = (current, earlier);
        All = [.. Ordered(current.Concat(earlier))];
    }

    public IReadOnlyList<IPAddress> Current { get; }

    /// <summary>The addresses that it had before, the latest first.</summary>
    public IReadOnlyList<IPAddress> Earlier { get; }

    /// <summary>All of them, in an order that depends on nothing else.</summary>
    public IReadOnlyList<IPAddress> All { get; }

    /// <summary>Each address once, in a stable order.</summary>
    public static IEnumerable<IPAddress> Ordered(IEnumerable<IPAddress> addresses) =>
        addresses.Distinct().OrderBy(static address => address.AddressFamily).ThenBy(static address => address.ToString(), StringComparer.Ordinal);
}
