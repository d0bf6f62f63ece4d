using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Keepalive.Probes.Pages;

/// <summary>Writes a <see cref="PacketReport"/> as a page that a browser opens from a file.</summary>
internal static class PacketPage
{
    /// <summary>The most connections that a page shows.</summary>
    public const int MaxConnections = 200;

    /// <summary>The most packets that a page shows.</summary>
    public const int MaxPackets = 40_000;

    /// <summary>The longest text that is taken from a capture or a file, characters.</summary>
    private const int MaxText = 300;

    /// <summary>The most bytes of data.</summary>
    private const int MaxBytes = 4_800_000;

    private const int MaxRequests = 3_000;
    private const int MaxMarks = 1_000;
    private const long Microsecond = 1_000;

    // The default encoder escapes < > & ' " + and everything beyond ASCII, U+2028 and U+2029 among it.
    private static readonly JsonWriterOptions s_options = new() { Encoder = JavaScriptEncoder.Default };

    /// <summary>Writes the page.</summary>
    public static void Write(PacketReport report, string program, Stream output)
    {
        using var data = new MemoryStream();
        WriteJson(report, program, data);
        // Long texts, each character of which takes six: less of everything.
        for (var part = 2; data.Length > MaxBytes && part <= MaxConnections; part *= 2)
        {
            data.SetLength(0);
            WriteJson(report, program, data, part);
        }
        SelfContainedPage.Write("packets", ["page", "packets"], ["page", "packets"], data.GetBuffer().AsSpan(0, (int)data.Length), output);
    }

    /// <summary>Writes the data of the page.</summary>
    /// <param name="report">The report.</param>
    /// <param name="program">The program that writes it.</param>
    /// <param name="output">Receives the data.</param>
    /// <param name="part">Divides all limits.</param>
    public static void WriteJson(PacketReport report, string program, Stream output, int part = 1)
    {
        var most = MaxConnections / part;
        var connections = report.Connections.OrderByDescending(static connection => connection.Trouble).ToList();
        var leftOut = new List<string>(report.LeftOut);
        if (connections.Count > most)
        {
            leftOut.Add(string.Create(CultureInfo.InvariantCulture,
                $"{connections.Count - most} connections with less trouble than these {most} are not shown."));
            connections.RemoveRange(most, connections.Count - most);
        }
        using var json = new Utf8JsonWriter(output, s_options);
        json.WriteStartObject();
        Text(json, "title", report.Title);
        Text(json, "source", report.Source);
        Text(json, "program", program);
        if (report.Began is { } began)
        {
            json.WriteNumber("began", began / 1_000_000);
        }
        json.WriteBoolean("aligned", report.IsAligned);
        Texts(json, "lanes", report.Lanes);
        json.WriteStartArray("facts");
        foreach (var fact in report.Facts)
        {
            Row(json, fact.Name, fact.Value);
        }
        json.WriteEndArray();
        json.WriteStartArray("connections");
        var share = MaxPackets / part;
        var (requests, marks) = (MaxRequests / part / Math.Max(1, connections.Count), MaxMarks / part / Math.Max(1, connections.Count));
        var hidden = 0L;
        for (var i = 0; i < connections.Count; i++)
        {
            // Connections with few packets leave their share to the others.
            var packets = Choose(connections[i].Packets, share / (connections.Count - i));
            share -= packets.Count;
            hidden += Math.Max(connections[i].PacketCount, connections[i].Packets.Count) - packets.Count;
            Connection(json, connections[i], packets, Math.Max(1, requests), Math.Max(1, marks));
        }
        json.WriteEndArray();
        if (hidden > 0)
        {
            leftOut.Add(string.Create(CultureInfo.InvariantCulture,
                $"{hidden:N0} packets of these connections are not shown: of each connection the page has the first, the last, and those in between that show trouble."));
        }
        Texts(json, "leftOut", leftOut);
        json.WriteEndObject();
    }

    private static IReadOnlyList<ReportPacket> Choose(IReadOnlyList<ReportPacket> packets, int limit)
    {
        if (packets.Count <= limit)
        {
            return packets;
        }
        var trace = new PacketTrace();
        foreach (var packet in packets)
        {
            trace.Add(in packet);
        }
        var kept = trace.ToList();
        return kept.Count <= limit ? kept : [.. kept.Take(limit / 2), .. kept.TakeLast(limit - (limit / 2))];
    }

    private static void Connection(Utf8JsonWriter json, ReportConnection connection, IReadOnlyList<ReportPacket> packets, int requests, int marks)
    {
        json.WriteStartObject();
        Text(json, "name", connection.Name);
        Text(json, "client", connection.Client);
        Text(json, "server", connection.Server);
        json.WriteNumber("trouble", (int)connection.Trouble);
        Text(json, "verdict", connection.Verdict);
        json.WriteNumber("count", Math.Max(connection.PacketCount, packets.Count));
        if (connection.IdleTimeout is { } timeout)
        {
            json.WriteNumber("timeout", timeout / Microsecond);
        }
        json.WriteStartArray("packets");
        var next = 0L;
        foreach (var packet in packets)
        {
            Numbers(json,
                packet.Frame, packet.Time / Microsecond, packet.IsFromClient ? 0 : 1, (long)packet.Kind, (long)packet.Flags, packet.Sequence, packet.Length,
                packet.Idle / Microsecond, packet.Answers, (long)packet.Fate, packet.Ordinal - next, packet.Left / Microsecond);
            next = packet.Ordinal + 1;
        }
        json.WriteEndArray();
        json.WriteStartArray("marks");
        foreach (var mark in connection.Marks.Take(marks))
        {
            json.WriteStartArray();
            json.WriteNumberValue(mark.Time / Microsecond);
            json.WriteNumberValue((int)mark.Kind);
            json.WriteStringValue(Limited(mark.Text));
            json.WriteEndArray();
        }
        json.WriteEndArray();
        json.WriteStartArray("requests");
        foreach (var request in connection.Requests.OrderByDescending(static request => request.Status is < 200 or >= 500).Take(requests).OrderBy(static request => request.From))
        {
            json.WriteStartArray();
            json.WriteNumberValue(request.From / Microsecond);
            json.WriteNumberValue(request.To / Microsecond);
            json.WriteNumberValue(request.Status);
            json.WriteStringValue(Limited(request.Text));
            json.WriteEndArray();
        }
        json.WriteEndArray();
        json.WriteStartArray("settings");
        foreach (var setting in connection.Settings)
        {
            Row(json, setting.Group, setting.Name, setting.Value, setting.Note, setting.IsDecisive ? "1" : "");
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>Numbers without the zeros at their end.</summary>
    private static void Numbers(Utf8JsonWriter json, params ReadOnlySpan<long> numbers)
    {
        var count = numbers.Length;
        while (count > 0 && numbers[count - 1] == 0)
        {
            count--;
        }
        json.WriteStartArray();
        foreach (var number in numbers[..count])
        {
            json.WriteNumberValue(number);
        }
        json.WriteEndArray();
    }

    private static void Row(Utf8JsonWriter json, params ReadOnlySpan<string> texts)
    {
        json.WriteStartArray();
        foreach (var text in texts)
        {
            json.WriteStringValue(Limited(text));
        }
        json.WriteEndArray();
    }

    private static void Texts(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts)
        {
            json.WriteStringValue(Limited(text));
        }
        json.WriteEndArray();
    }

    private static void Text(Utf8JsonWriter json, string name, string text) => json.WriteString(name, Limited(text));

    private static string Limited(string text) => text.Length <= MaxText ? text : string.Concat(text.AsSpan(0, MaxText), "…");
}
