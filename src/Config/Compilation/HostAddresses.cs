using System.Net;

namespace Keepalive.Config.Compilation;

/// <summary>The addresses of host names, as they were resolved before the compilation; takes down which names were asked for.</summary>
internal sealed class HostAddresses(CompilerOptions options)
{
    private readonly HashSet<string> _wanted = new(StringComparer.Ordinal);

    /// <summary>The names that were asked for: lower case, without a trailing dot, no wildcards.</summary>
    public IReadOnlySet<string> Wanted => _wanted;

    /// <summary>The addresses of a host, or none.</summary>
    public IReadOnlyList<IPAddress> Of(string host)
    {
        Want(host);
        return Peek(host);
    }

    /// <summary>Takes down that a host was asked for.</summary>
    public void Want(string host)
    {
        if (!HostName.IsWildcard(host))
        {
            _wanted.Add(HostName.Canonical(host));
        }
    }

    /// <summary>The same for a host that is written in its one spelling.</summary>
    public void WantCanonical(string host)
    {
        if (!HostName.IsWildcard(host))
        {
            _wanted.Add(host);
        }
    }

    /// <summary>The addresses of a host that is written in its one spelling, without taking down that it was asked for.</summary>
    public IReadOnlyList<IPAddress> PeekCanonical(string host) => options.ResolvedHosts.TryGetValue(host, out var addresses) ? addresses : [];

    /// <summary>The same, without taking down that it was asked for.</summary>
    public IReadOnlyList<IPAddress> Peek(string host)
    {
        var name = HostName.Canonical(host);
        return options.ResolvedHosts.TryGetValue(name, out var addresses) || options.ResolvedHosts.TryGetValue(host, out addresses) ? addresses : [];
    }
}
