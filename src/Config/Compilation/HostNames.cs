using System.Net;
using Keepalive.Config.Validation;

namespace Keepalive.Config.Compilation;

/// <summary>One spelling for a host name, so that names and answers meet.</summary>
internal static class HostNames
{
    /// <summary>Lower case, without the trailing dot.</summary>
    public static string Canonical(string host) => (host.EndsWith('.') ? host[..^1] : host).ToLowerInvariant();

    /// <summary>The addresses of a host, or none.</summary>
    public static IReadOnlyList<IPAddress> Resolve(CompilerOptions options, string host)
    {
        if (options.WantedHosts is { } wanted && !HostValidator.IsWildcard(host))
        {
            wanted.Add(Canonical(host));
        }

        return options.ResolvedHosts.TryGetValue(Canonical(host), out var addresses) || options.ResolvedHosts.TryGetValue(host, out addresses)
            ? addresses
            : [];
    }
}
