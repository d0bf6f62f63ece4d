using System.Globalization;
using Keepalive.Agent.Policies;
using Keepalive.Config;

namespace Keepalive.Agent.Commands;

/// <summary>The remote end that <c>explain --to</c> is about: an address, or a host name that may have several.</summary>
/// <param name="End">The end; null for a host name.</param>
/// <param name="Host">The host name; empty for an address.</param>
/// <param name="Port">The port.</param>
internal sealed record RemoteEnd(Endpoint? End, string Host, ushort Port)
{
    public static RemoteEnd? TryParse(string text)
    {
        if (Endpoint.TryParse(text, portRequired: true, out var end))
        {
            return new RemoteEnd(end, "", end.Port);
        }
        var colon = text.LastIndexOf(':');
        return colon > 0 && HostName.IsValid(text[..colon]) && ushort.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port > 0
            ? new RemoteEnd(null, text[..colon], port)
            : null;
    }

    /// <summary>Returns the end, or one for each address that this machine's resolver finds for the host name.</summary>
    public async Task<IReadOnlyList<Endpoint>> ResolveAsync(CancellationToken stop) => End is { } end
        ? [end]
        : (await new HostResolver().ResolveAsync([Host], stop)).Addresses.TryGetValue(Host, out var found) ? [.. found.Select(address => Endpoint.From(address, Port))] : [];
}
