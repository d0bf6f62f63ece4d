using System.Net;
using Keepalive.Config;
using Keepalive.Config.Compilation;

namespace Keepalive.Agent.Policies;

/// <summary>What is known of some hosts.</summary>
/// <param name="Addresses">Their addresses; a host without any is not in it.</param>
/// <param name="Kept">Those that did not resolve this time: their addresses are from before.</param>
/// <param name="Cut">Those that had more than <see cref="HostResolver.MaxAddresses"/>.</param>
internal sealed record HostAnswers(
    IReadOnlyDictionary<string, IReadOnlyList<IPAddress>> Addresses, IReadOnlySet<string> Kept, IReadOnlySet<string> Cut)
{
    public static HostAnswers None { get; } = new(new Dictionary<string, IReadOnlyList<IPAddress>>(), new HashSet<string>(), new HashSet<string>());

    /// <summary>As the compiler takes them.</summary>
    public CompilerOptions ToOptions(Side side) =>
        new() { ResolvedHosts = Addresses, HostsNotResolving = Kept, HostsCut = Cut, Side = side };

    /// <summary>Whether nothing is to be said or done that would not have been with the others.</summary>
    public bool IsSameAs(HostAnswers other) =>
        Addresses.Count == other.Addresses.Count && Kept.SetEquals(other.Kept) && Cut.SetEquals(other.Cut)
        && Addresses.All(pair => other.Addresses.TryGetValue(pair.Key, out var addresses) && pair.Value.SequenceEqual(addresses));
}
