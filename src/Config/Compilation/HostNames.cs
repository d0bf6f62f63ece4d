using System.Net;

namespace Keepalive.Config.Compilation;

/// <summary>Looks host names up in what was resolved.</summary>
internal static class HostNames
{
    /// <summary>The addresses of a host, or none.</summary>
    public static IReadOnlyList<IPAddress> Resolve(CompilerOptions options, string host)
    {
        if (options.WantedHosts is { } wanted && !HostName.IsWildcard(host))
        {
            wanted.Add(HostName.Canonical(host));
        }

        return options.ResolvedHosts.TryGetValue(HostName.Canonical(host), out var addresses) || options.ResolvedHosts.TryGetValue(host, out addresses)
            ? addresses
            : [];
    }
}
