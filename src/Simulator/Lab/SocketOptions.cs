using System.Globalization;

namespace Keepalive.Simulator.Lab;

/// <summary>A socket's keepalive options as its own application reads them; written <c>on/700/10/20</c>.</summary>
internal readonly record struct SocketOptions(bool Enabled, int Time, int Interval, int Probes)
{
    /// <summary>What a socket has that nobody touched: Linux's compiled-in values, which every new network namespace starts with.</summary>
    public static SocketOptions Untouched { get; } = new(false, 7200, 75, 9);

    public static SocketOptions Parse(string text)
    {
        var parts = text.Split('/');
        return parts is ["on" or "off", var time, var interval, var probes]
            ? new SocketOptions(parts[0] == "on", Number(time), Number(interval), Number(probes))
            : throw new FormatException($"not socket options: {text}");
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{(Enabled ? "on" : "off")}/{Time}/{Interval}/{Probes}");

    /// <summary>For people: <c>off</c>, or <c>on, time 700s, interval 10s, probes 20</c>.</summary>
    public string Describe() => Enabled ? $"on, time {Time}s, interval {Interval}s, probes {Probes}" : "off";

    private static int Number(string text) => int.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture);
}
