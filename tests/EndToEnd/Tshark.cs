using System.Globalization;
using Keepalive.Testbed;

namespace Keepalive.EndToEnd;

/// <summary>A TCP segment in tshark's dissection, with tshark's classification.</summary>
internal sealed record TsharkSegment(
    long Frame, long Stream, bool FromFirst, uint Sequence, uint Acknowledged, int Length, int Window, bool HasAck, bool IsOpenOrClose, bool IsKeepalive, bool IsKeepaliveAck)
{
    /// <summary>Every TCP segment of a capture file.</summary>
    public static IReadOnlyList<TsharkSegment> Read(string file)
    {
        string[] fields =
        [
            "frame.number", "tcp.stream", "tcp.srcport", "tcp.seq_raw", "tcp.ack_raw", "tcp.len", "tcp.window_size_value", "tcp.flags",
            "tcp.analysis.keep_alive", "tcp.analysis.keep_alive_ack",
        ];
        var result = Command.Try(
            ["tshark", "-n", "-r", file, "-Y", "tcp", "-T", "fields", "-E", "separator=;", .. fields.SelectMany(field => new[] { "-e", field })],
            TimeSpan.FromSeconds(60));
        if (result.ExitCode != 0)
        {
            throw new InvalidOperationException(result.Error);
        }

        var first = new Dictionary<long, string>();
        return [.. result.Lines.Select(line => Parse(line.Split(';'), first))];
    }

    private static TsharkSegment Parse(string[] values, Dictionary<long, string> first)
    {
        const int fin = 1, syn = 2, rst = 4, ack = 16;
        long stream = long.Parse(values[1], CultureInfo.InvariantCulture);
        first.TryAdd(stream, values[2]);
        int flags = Convert.ToInt32(values[7], 16);
        return new TsharkSegment(
            long.Parse(values[0], CultureInfo.InvariantCulture),
            stream,
            first[stream] == values[2],
            uint.Parse(values[3], CultureInfo.InvariantCulture),
            uint.Parse(values[4], CultureInfo.InvariantCulture),
            int.Parse(values[5], CultureInfo.InvariantCulture),
            int.Parse(values[6], CultureInfo.InvariantCulture),
            (flags & ack) != 0,
            (flags & (fin | syn | rst)) != 0,
            values[8].Length > 0,
            values[9].Length > 0);
    }
}
