using System.Net;
using Keepalive.Config;
using Keepalive.Config.Compilation;

namespace Keepalive.Agent.Policies;

/// <summary>The known addresses of hosts.</summary>
/// <param name="Addresses">The addresses of each host, with those that it had before. A host without addresses is omitted.</param>
/// <param name="Kept">Hosts that did not resolve this time. Their addresses are from an earlier lookup.</param>
/// <param name="Cut">Hosts that had more than <see cref="HostResolver.MaxAddresses"/> addresses.</param>
internal sealed record HostAnswers(
    IReadOnlyDictionary<string, IReadOnlyList<IPAddress>> Addresses, IReadOnlySet<string> Kept, IReadOnlySet<string> Cut)
{
    public static HostAnswers None { get; } = new(new Dictionary<string, IReadOnlyList<IPAddress>>(), new HashSet<string>(), new HashSet<string>());

    /// <summary>Returns the options for the compiler.</summary>
    public CompilerOptions ToOptions(Side side) =>
        new() { ResolvedHosts = Addresses, HostsNotResolving = Kept, HostsCut = Cut, Side = side };

    /// <summary>Whether a compilation with these answers has the same result and the same diagnostics.</summary>
    public bool IsSameAs(HostAnswers other) =>
        Addresses.Count == other.Addresses.Count && Kept.SetEquals(other.Kept) && Cut.SetEquals(other.Cut)
        && Addresses.All(pair => other.Addresses.TryGetValue(pair.Key, out var addresses) && pair.Value.SequenceEqual(addresses));
}
