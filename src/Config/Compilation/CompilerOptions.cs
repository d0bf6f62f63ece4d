using System.Net;

namespace Keepalive.Config.Compilation;

/// <summary>What the compiler needs besides the resources.</summary>
public sealed record CompilerOptions
{
    /// <summary>
    /// The addresses of the hosts <see cref="PolicyCompiler.HostsToResolve"/> named; one that is missing did not resolve.
    /// </summary>
    public IReadOnlyDictionary<string, IReadOnlyList<IPAddress>> ResolvedHosts { get; init; } =
        new Dictionary<string, IReadOnlyList<IPAddress>>();

    /// <summary>Which ends of a connection the policy selects sockets by.</summary>
    public Side Side { get; init; } = Side.Client;
}
