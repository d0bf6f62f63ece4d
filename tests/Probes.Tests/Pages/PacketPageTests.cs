using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Pages;
using Xunit;

namespace Keepalive.Probes.Tests.Pages;

/// <summary>The page as a file: its data cannot leave its element, it refers to nothing outside, and it has a limit.</summary>
public sealed partial class PacketPageTests
{
    private const string Hostile = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\u2028\u2029&amp;\"'\ud800";

    private const long Second = 1_000_000_000;

    [Fact]
    public void Write_HostileNamesEverywhere_StayInsideTheirElement()
    {
        var page = Page(Report(Connection(Hostile, packets: 3)) with
        {
            Title = Hostile,
            Source = Hostile,
            Lanes = [Hostile, Hostile],
            Facts = [new(Hostile, Hostile)],
            LeftOut = [Hostile],
        });

        var (before, data, after) = Parts(page);
        Assert.DoesNotMatch("[<>&\u2028\u2029\u007f-\uffff]", data);
        Assert.DoesNotContain("alert", before + after, StringComparison.Ordinal);
        // All of it arrives, the half of a character as its replacement.
        var read = JsonDocument.Parse(data).RootElement;
        Assert.Equal(Hostile.Replace('\ud800', '\ufffd'), read.GetProperty("title").GetString());
        Assert.Equal(Hostile.Replace('\ud800', '\ufffd'), read.GetProperty("connections")[0].GetProperty("name").GetString());
    }

    [Fact]
    public void Write_Page_LetsOnlyItsOwnStyleAndScriptRun()
    {
        var page = Page(Report(Connection("c", packets: 1)));

        var policy = Policy().Match(page).Groups[1].Value;
        Assert.StartsWith("default-src 'none'; ", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        Assert.Contains($"style-src {Hash(Element(page, "<style>", "</style>"))};", policy, StringComparison.Ordinal);
        Assert.Contains($"script-src {Hash(Element(page, "<script>", "</script>"))};", policy, StringComparison.Ordinal);
        // The policy stands before the first thing that it is about.
        Assert.True(page.IndexOf("Content-Security-Policy", StringComparison.Ordinal) < page.IndexOf("<style", StringComparison.Ordinal));
    }

    [Fact]
    public void Write_Page_RefersToNothingOutside()
    {
        var page = Page(Report(Connection("c", packets: 1)));

        Assert.DoesNotMatch(@"<[^>]*\b(src|href|srcset|action)\s*=", page);
        Assert.DoesNotMatch(@"@import|url\((?!#)", page);
        // The one name of this kind is that of a format, which nobody fetches.
        Assert.Equal(["http://www.w3.org/2000/svg"], Address().Matches(page).Select(match => match.Value).Distinct());
        Assert.DoesNotContain("innerHTML", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Write_MoreThanAPageHolds_IsLimitedAndSaysSo()
    {
        var longText = new string('n', 5_000);
        var one = Connection(longText, packets: 2_000) with
        {
            Requests = [.. Enumerable.Range(0, 5_000).Select(at => new ReportRequest(at * Second, at * Second, 200, longText))],
            Marks = [.. Enumerable.Range(0, 5_000).Select(at => new ReportMark(at * Second, MarkKind.Expired, longText))],
        };
        var busy = Enumerable.Range(0, 300).Select(i => one with { Trouble = (Trouble)(i % 3) });

        var page = Page(Report([.. busy]));

        Assert.InRange(Encoding.UTF8.GetByteCount(page), 500_000, 5_000_000);
        // Characters that take six each.
        var wide = new string('\u4e2d', 5_000);
        Assert.InRange(Encoding.UTF8.GetByteCount(Page(Report([.. busy.Select(connection => connection with { Name = wide, Verdict = wide, Client = wide })]))), 500_000, 5_000_000);
        var read = JsonDocument.Parse(Parts(page).Data).RootElement;
        var connections = read.GetProperty("connections");
        Assert.Equal(PacketPage.MaxConnections, connections.GetArrayLength());
        Assert.Equal([2, 1], connections.EnumerateArray().Select(one => one.GetProperty("trouble").GetInt32()).Distinct());
        Assert.InRange(connections.EnumerateArray().Sum(one => one.GetProperty("packets").GetArrayLength()), 1_000, PacketPage.MaxPackets);
        Assert.Equal(2_000, connections[0].GetProperty("count").GetInt64());
        var leftOut = read.GetProperty("leftOut").EnumerateArray().Select(text => text.GetString()!).ToList();
        Assert.Contains(leftOut, text => text.StartsWith("100 connections", StringComparison.Ordinal));
        Assert.Contains(leftOut, text => text.Contains("packets of these connections are not shown", StringComparison.Ordinal));
    }

    [Fact]
    public void WriteJson_PacketLeftOut_IsAGapBeforeTheNext()
    {
        var connection = Connection("c", packets: 0) with
        {
            Packets = [new() { Frame = 1, Ordinal = 0, IsFromClient = true }, new() { Frame = 9, Ordinal = 5, Time = Second, Fate = PacketFate.Forged, Left = 3 * Second }],
        };

        var packets = JsonDocument.Parse(Parts(Page(Report(connection))).Data).RootElement.GetProperty("connections")[0].GetProperty("packets");

        // The frame, and no more: the rest is 0.
        Assert.Equal([1], packets[0].EnumerateArray().Select(number => number.GetInt64()));
        Assert.Equal([9, 1_000_000, 1, 0, 0, 0, 0, 0, 0, 2, 4, 3_000_000], packets[1].EnumerateArray().Select(number => number.GetInt64()));
    }

    private static ReportConnection Connection(string name, int packets) => new()
    {
        Name = name,
        Client = name,
        Server = name,
        Verdict = name,
        IdleTimeout = 4 * Second,
        Packets =
        [
            .. Enumerable.Range(0, packets).Select(i => new ReportPacket
            {
                Frame = 1_000_000_000 + i,
                Time = (1_000_000_000L * 86_400) + i,
                Ordinal = i,
                Idle = 86_400 * Second,
                Answers = 1_000_000_000 + i,
                Sequence = uint.MaxValue,
                Length = 1_000,
                Flags = TcpFlags.Ack,
                Kind = PacketKind.Data,
            }),
        ],
        PacketCount = packets,
        Marks = [new(Second, MarkKind.Expired, name)],
        Requests = [new(0, Second, 503, name)],
        Settings = [new(name, name, name, name, true)],
    };

    private static PacketReport Report(params IReadOnlyList<ReportConnection> connections) =>
        new() { Title = "t", Source = "s", Lanes = ["client", "server"], Connections = connections };

    private static string Page(PacketReport report)
    {
        using var stream = new MemoryStream();
        PacketPage.Write(report, "test", stream);
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static (string Before, string Data, string After) Parts(string page)
    {
        const string begin = "<script type=\"application/json\" id=\"data\">";
        var at = page.IndexOf(begin, StringComparison.Ordinal) + begin.Length;
        var end = page.IndexOf('<', at);
        Assert.StartsWith("</script>", page[end..], StringComparison.Ordinal);
        return (page[..at], page[at..end], page[end..]);
    }

    private static string Element(string page, string begin, string end)
    {
        var at = page.IndexOf(begin, StringComparison.Ordinal) + begin.Length;
        return page[at..page.IndexOf(end, at, StringComparison.Ordinal)];
    }

    private static string Hash(string text) => $"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)))}'";

    [GeneratedRegex("<meta http-equiv=\"Content-Security-Policy\" content=\"([^\"]*)\">")]
    private static partial Regex Policy();

    [GeneratedRegex(@"https?://[\w./]*")]
    private static partial Regex Address();
}
