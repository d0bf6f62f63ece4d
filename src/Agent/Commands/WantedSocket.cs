using System.Globalization;
using Keepalive.Agent.Sockets;
using Keepalive.Config;

namespace Keepalive.Agent.Commands;

/// <summary>The socket that <c>explain --socket</c> is about: by its cookie, or by one of its ends, which several may share.</summary>
/// <param name="Cookie">The cookie; null if an end is given.</param>
/// <param name="End">The end; null if a cookie is given.</param>
/// <param name="Text">As it was given.</param>
internal sealed record WantedSocket(ulong? Cookie, Endpoint? End, string Text)
{
    /// <summary>How <c>ss -e</c> writes a cookie, in hexadecimal.</summary>
    private const string OfSs = "sk:";

    public static bool TryParse(string text, out WantedSocket? wanted)
    {
        var isOfSs = text.StartsWith(OfSs, StringComparison.Ordinal);
        wanted = (isOfSs ? ulong.TryParse(text[OfSs.Length..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var cookie)
            : ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out cookie)) ? new WantedSocket(cookie, null, text)
            : !isOfSs && Endpoint.TryParse(text, portRequired: true, out var end) ? new WantedSocket(null, end, text)
            : null;
        return wanted is not null;
    }

    public bool Matches(in SocketRecord record) => End is { } end
        ? (record.Local.Address == end.Address && record.Local.Port == end.Port) || (record.Remote.Address == end.Address && record.Remote.Port == end.Port)
        : record.Cookie == Cookie;
}
