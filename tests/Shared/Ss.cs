using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;

namespace Keepalive.Testbed;

/// <summary>One socket as <c>ss -tnoe</c> shows it.</summary>
/// <remarks>
/// Timer: keepalive, on (retransmission), timewait or persist (window probe); null when none runs. TimeLeft: until it fires; ss cuts to
/// whole seconds from 10 s on and to whole minutes from 10 min on. Unanswered: probes, or retransmissions, sent without an answer.
/// </remarks>
internal sealed record SsSocket(
    string State, IPEndPoint Local, IPEndPoint Remote, string? Timer, TimeSpan TimeLeft, int Unanswered, long Inode, ulong Cookie);

/// <summary>iproute2's ss as an oracle for the kernel's state of connections.</summary>
internal static partial class Ss
{
    /// <summary>Every connected TCP socket in the holder's network namespace, of any owner.</summary>
    public static IReadOnlyList<SsSocket> Read(Holder inside) => [.. inside.Run("ss", "-tnoeH").Lines.Select(Parse)];

    /// <summary>The holder's socket with this id.</summary>
    public static SsSocket Read(Holder owner, SocketId id)
    {
        ulong cookie = owner.Cookie(id);
        return Read(owner).SingleOrDefault(socket => socket.Cookie == cookie)
            ?? throw new InvalidOperationException($"ss does not show socket {id} of process {owner.Pid}");
    }

    public static SsSocket Parse(string line)
    {
        var match = SocketLine().Match(line);
        if (!match.Success)
        {
            throw new FormatException($"not a socket line of ss: {line}");
        }

        bool timer = match.Groups["timer"].Success;
        return new SsSocket(
            match.Groups["state"].Value,
            ParseEndPoint(match.Groups["local"].Value),
            ParseEndPoint(match.Groups["remote"].Value),
            timer ? match.Groups["timer"].Value : null,
            timer ? ParseTime(match.Groups["left"].Value) : TimeSpan.Zero,
            timer ? int.Parse(match.Groups["count"].Value, CultureInfo.InvariantCulture) : 0,
            match.Groups["inode"].Success ? long.Parse(match.Groups["inode"].Value, CultureInfo.InvariantCulture) : 0,
            ulong.Parse(match.Groups["cookie"].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture));
    }

    /// <summary>Reads <c>712ms</c>, <c>9.712ms</c> (9.712 s), <c>59sec</c>, <c>1min54sec</c>, <c>119min</c>, and the empty text, which is
    /// zero.</summary>
    public static TimeSpan ParseTime(string text)
    {
        var match = TimerText().Match(text);
        if (!match.Success)
        {
            throw new FormatException($"not a timer of ss: {text}");
        }

        return TimeSpan.FromMinutes(Number("minutes")) + TimeSpan.FromSeconds(Number("seconds")) + TimeSpan.FromMilliseconds(Number("milliseconds"));

        int Number(string group) => match.Groups[group].Success ? int.Parse(match.Groups[group].Value, CultureInfo.InvariantCulture) : 0;
    }

    private static IPEndPoint ParseEndPoint(string text)
    {
        // A link-local or interface-bound address carries %link.
        int percent = text.IndexOf('%', StringComparison.Ordinal);
        if (percent >= 0)
        {
            int end = text.IndexOfAny([']', ':'], percent);
            text = text[..percent] + text[end..];
        }

        return IPEndPoint.Parse(text);
    }

    [GeneratedRegex(
        @"^(?<state>[A-Z0-9-]+)\s+\d+\s+\d+\s+(?<local>\S+)\s+(?<remote>\S+)" +
        @"(?:\s+timer:\((?<timer>[a-z]+),(?<left>[^,]*),(?<count>\d+)\))?.*?(?:\s+ino:(?<inode>\d+))?\s+sk:(?<cookie>[0-9a-f]+)\b")]
    private static partial Regex SocketLine();

    [GeneratedRegex(@"^(?:(?<minutes>\d+)min)?(?:(?<seconds>\d+)(?:sec|\.(?=\d{3}ms)))?(?:(?<milliseconds>\d{3})ms)?$")]
    private static partial Regex TimerText();
}
