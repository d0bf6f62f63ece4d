using System.Net;

namespace Keepalive.Config.Compilation;

/// <summary>The compiler's input besides the resources.</summary>
public sealed record CompilerOptions
{
    /// <summary>
    /// The addresses of the hosts that <see cref="CompilationResult.WantedHosts"/> names; one that is missing did not resolve.
    /// </summary>
    public IReadOnlyDictionary<string, IReadOnlyList<IPAddress>> ResolvedHosts { get; init; } =
        new Dictionary<string, IReadOnlyList<IPAddress>>();

    /// <summary>Hosts of <see cref="ResolvedHosts"/> that do not resolve now: their addresses are from an earlier answer.</summary>
    public IReadOnlySet<string> HostsNotResolving { get; init; } = new HashSet<string>();

    /// <summary>Hosts of <see cref="ResolvedHosts"/> that had more addresses than are taken.</summary>
    public IReadOnlySet<string> HostsCut { get; init; } = new HashSet<string>();

    /// <summary>Leaves out of the report, and of what is wanted, destinations that no policy selects: a cluster has many.</summary>
    public bool SelectedOnly { get; init; }

    /// <summary>Which ends of a connection the policy selects sockets by.</summary>
    public Side Side { get; init; } = Side.Client;
}
