using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Keepalive.Probes.Pages;
using Keepalive.Testbed;
using Microsoft.Playwright;
using Xunit;

namespace Keepalive.Browser;

/// <summary>The packet reports as a person sees them: what is there, that nothing runs that should not, and that large ones open.</summary>
public sealed class PacketReportTests(Chromium chromium) : IClassFixture<Chromium>, IDisposable
{
    private const string Hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>";

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    private static readonly Lazy<string> s_demo = new(static () =>
    {
        var file = Path.Combine(Chromium.Pictures, "demo.html");
        var result = ProgramRun.ToEnd([ProgramRun.SimulatorPath, "demo", "--agent-program", ProgramRun.AgentPath, "--report", file], timeout: s_patience);
        Assert.True(result.ExitCode == 0, result.Output + result.Error);
        return file;
    });

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-browser-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(ColorScheme.Light)]
    [InlineData(ColorScheme.Dark)]
    public async Task Demo_EachScheme_ShowsWhatHappened(ColorScheme scheme)
    {
        Live.Require();
        Assert.InRange(new FileInfo(s_demo.Value).Length, 10_000, 500_000);
        await using var report = await chromium.OpenAsync(s_demo.Value, scheme);

        Assert.Equal(3, await report.Pictures.CountAsync());
        foreach (var lane in new[] { "client", "balancer", "server", "idle clock", "requests" })
        {
            Assert.Equal(3, await report.Page.Locator(".picture svg text.lane-name", new() { HasTextString = lane }).CountAsync());
        }
        // The idle timeout of the demo is 4 s, and a packet was sent shortly after the first one.
        var words = await report.Page.Locator(".words").AllInnerTextsAsync();
        var expiry = double.Parse(words[0].Split("ran out at ")[1].Split(' ')[0], CultureInfo.InvariantCulture);
        Assert.InRange(expiry, 3.95, 5.5);
        var expiries = await report.Page.Locator(".expiry-text").AllTextContentsAsync();
        Assert.Equal(2, expiries.Count);
        Assert.All(expiries, text => Assert.InRange(double.Parse(text.Split(' ')[2], CultureInfo.InvariantCulture), 3.95, 5.5));
        Assert.Equal(["200", "503", "200", "504", "200", "200"], await report.Page.Locator(".request-text").AllTextContentsAsync());
        // In act 1 the client's packet is swallowed and answered; in act 2 it is swallowed, and sent again.
        Assert.Equal(1, await report.Pictures.Nth(0).Locator(".reset.glyph").CountAsync());
        Assert.InRange(await report.Pictures.Nth(1).Locator(".stop").CountAsync(), 2, 20);
        Assert.InRange(await report.Pictures.Nth(2).Locator(".probe.glyph").CountAsync(), 5, 20);
        Assert.Contains("time", await report.Page.Locator(".connection").Nth(2).Locator("tr.decisive").InnerTextAsync(), StringComparison.Ordinal);
        await report.PictureAsync($"demo-{scheme}");
        Assert.Empty(await report.FaintAsync());
        report.IsQuiet();
    }

    [Fact]
    public async Task Demo_Pointer_ShowsThePacketAndZooms()
    {
        Live.Require();
        await using var report = await chromium.OpenAsync(s_demo.Value);
        var probe = report.Pictures.Nth(2).Locator(".probe.glyph").Nth(2);

        await probe.HoverAsync(new() { Force = true });

        // Until it is drawn, its text has no spaces between cells.
        await report.Tip.WaitForAsync();
        var tip = await report.Tip.InnerTextAsync();
        Assert.Contains("keepalive probe", tip, StringComparison.Ordinal);
        Assert.Matches(@"flags\s+ACK", tip);
        Assert.Matches(@"frame\s+\d+", tip);
        Assert.Matches(@"idle before\s+1\.\d+ s", tip);
        Assert.Matches(@"sequence\s+\d+ relative, \d+ on the wire", tip);
        await report.PictureAsync("demo-pointer");

        var before = await report.Page.Locator("#range").InnerTextAsync();
        Assert.DoesNotMatch(@"^−0(\.0+)? s", before);
        await report.Page.Keyboard.DownAsync("Control");
        for (var i = 0; i < 9; i++)
        {
            await report.Page.Mouse.WheelAsync(0, -100);
        }
        await report.Page.Keyboard.UpAsync("Control");
        Assert.Matches(@"^\d\.\d\d+ s – \d\.\d\d+ s$", await report.Page.Locator("#range").InnerTextAsync());
        Assert.NotEqual(before, await report.Page.Locator("#range").InnerTextAsync());
        await report.PictureAsync("demo-zoomed");
        report.IsQuiet();
    }

    [Fact]
    public async Task Demo_KeysAlone_GoFromPacketToPacket()
    {
        Live.Require();
        await using var report = await chromium.OpenAsync(s_demo.Value);
        var keys = report.Page.Keyboard;
        for (var i = 0; i < 40 && await report.Page.EvaluateAsync<bool>("!document.activeElement.classList.contains('picture')"); i++)
        {
            await keys.PressAsync("Tab");
        }

        Assert.Contains("Act 1", await report.Page.EvaluateAsync<string>("document.activeElement.getAttribute('aria-label')"), StringComparison.Ordinal);
        await keys.PressAsync("Home");
        Assert.Matches(@"flags\s+SYN", await report.Tip.InnerTextAsync());
        await keys.PressAsync("ArrowRight");
        Assert.Matches(@"flags\s+SYN, ACK", await report.Tip.InnerTextAsync());
        await keys.PressAsync("End");
        Assert.Contains("reset sent by the balancer", await report.Tip.InnerTextAsync(), StringComparison.Ordinal);
        Assert.Contains("reset sent by the balancer", await report.Page.Locator("#live").TextContentAsync(), StringComparison.Ordinal);
        await report.PictureAsync("demo-keys");
        await keys.PressAsync("+");
        var zoomed = await report.Page.Locator("#range").InnerTextAsync();
        await keys.PressAsync("Shift+ArrowLeft");
        Assert.NotEqual(zoomed, await report.Page.Locator("#range").InnerTextAsync());
        await keys.PressAsync("0");

        // The third picture: a probe, and its reply.
        await report.Pictures.Nth(2).FocusAsync();
        await keys.PressAsync("Home");
        for (var i = 0; i < 20 && !(await report.Tip.InnerTextAsync()).StartsWith("keepalive probe", StringComparison.Ordinal); i++)
        {
            await keys.PressAsync("ArrowRight");
        }
        await keys.PressAsync("Enter");
        Assert.StartsWith("reply to a probe", await report.Tip.InnerTextAsync(), StringComparison.Ordinal);
        report.IsQuiet();
    }

    [Fact]
    public async Task Demo_WordsAndTable_SayTheSameAsThePicture()
    {
        Live.Require();
        await using var report = await chromium.OpenAsync(s_demo.Value);

        await report.Page.Locator(".listing summary").First.ClickAsync();

        var rows = report.Page.Locator(".listing").First.Locator("tbody tr");
        Assert.Contains($"({await rows.CountAsync()})", await report.Page.Locator(".listing summary").First.InnerTextAsync(), StringComparison.Ordinal);
        Assert.Contains("RST", await rows.Last.InnerTextAsync(), StringComparison.Ordinal);
        Assert.Matches("2 requests \\(200, 503\\).*1 packet swallowed; 1 packet forged", await report.Page.Locator(".words").First.InnerTextAsync());
        report.IsQuiet();
    }

    [Fact]
    public async Task Demo_PhoneAndPaper_FitTheirWidth()
    {
        Live.Require();
        await using var phone = await chromium.OpenAsync(s_demo.Value, width: 390, height: 800);

        Assert.Equal(390, await phone.Page.EvaluateAsync<int>("document.documentElement.scrollWidth"));
        await phone.PictureAsync("demo-phone");
        phone.IsQuiet();

        await using var paper = await chromium.OpenAsync(s_demo.Value, ColorScheme.Dark, width: 1000);
        var pdf = await paper.Page.PdfAsync(new() { Path = Path.Combine(Chromium.Pictures, "demo.pdf"), Format = "A4", PrintBackground = true });
        Assert.InRange(pdf.Length, 10_000, 2_000_000);
        await paper.Page.EmulateMediaAsync(new() { Media = Media.Print });
        Assert.Equal("rgb(255, 255, 255)", await paper.Page.EvaluateAsync<string>("getComputedStyle(document.documentElement).backgroundColor"));
        await paper.PictureAsync("demo-paper");
        paper.IsQuiet();
    }

    [Fact]
    public async Task Page_HostileNames_AreTextAndNothingRuns()
    {
        var file = Path.Combine(_directory, "hostile.html");
        using (var output = File.Create(file))
        {
            PacketPage.Write(new PacketReport
            {
                Title = Hostile,
                Source = Hostile,
                Lanes = [Hostile, "balancer", Hostile],
                Facts = [new(Hostile, Hostile)],
                LeftOut = [Hostile],
                Connections =
                [
                    new()
                    {
                        Name = Hostile, Client = Hostile, Server = Hostile, Verdict = Hostile, IdleTimeout = 1_000_000_000,
                        Packets = [new() { Frame = 1, Left = 1_000_000_000 }, new() { Frame = 2, Time = long.MaxValue, Ordinal = 5 }, new() { Frame = 3, Time = long.MinValue, Ordinal = 9 }],
                        Marks = [new(5, MarkKind.Expired, Hostile)],
                        Requests = [new(0, 9, 503, Hostile)],
                        Settings = [new(Hostile, Hostile, Hostile, Hostile, true)],
                    },
                    new() { Name = "without a packet", Client = "a", Server = "b", Verdict = "v", Packets = [] },
                ],
            }, Hostile, output);
        }
        await using var report = await chromium.OpenAsync(file);

        Assert.Equal(Hostile, await report.Page.Locator("#title").TextContentAsync());
        Assert.Equal(Hostile, await report.Page.Locator(".connection h2").First.TextContentAsync());
        Assert.Equal(0, await report.Page.Locator("img").CountAsync());
        Assert.Equal(2, await report.Page.Locator("script").CountAsync());
        await report.Pictures.First.FocusAsync();
        await report.Page.Keyboard.PressAsync("End");
        await report.PictureAsync("hostile");
        report.IsQuiet();
    }

    [Fact]
    public async Task Page_ScriptThatIsNotItsOwn_IsRefused()
    {
        // The policy is what is tested: the same page with a script that its writer would never write.
        var file = Path.Combine(_directory, "changed.html");
        using (var output = new MemoryStream())
        {
            PacketPage.Write(new PacketReport { Title = "t", Source = "s", Lanes = ["a", "b"], Connections = [] }, "p", output);
            var page = Encoding.UTF8.GetString(output.ToArray());
            await File.WriteAllTextAsync(file, page.Replace("</main>", "</main><script>document.title='run'</script><img src='http://127.0.0.1:9/x'>", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        }
        await using var report = await chromium.OpenAsync(file);

        Assert.Equal("t", await report.Page.TitleAsync());
        Assert.ThrowsAny<Exception>(report.IsQuiet);
    }

    /// <summary>Regression: the longest silence lay on the name of its row.</summary>
    [Theory]
    [InlineData(1400)]
    [InlineData(800)]
    [InlineData(390)]
    public async Task Page_LongSilences_NoTextLiesOnAnother(int width)
    {
        var file = Path.Combine(_directory, "silences.html");
        const long minute = 60_000_000_000;
        using (var output = File.Create(file))
        {
            PacketPage.Write(new PacketReport
            {
                Title = "t",
                Source = "s",
                Lanes = ["client", "server"],
                Connections =
                [
                    .. new[] { 48 * minute, (48 * minute) + (13 * minute / 60), 11 * 60 * minute, (17 * 60 * minute) + (59 * minute) }.Select(silence => new ReportConnection
                    {
                        Name = "n", Client = "a", Server = "b", Verdict = "v", IdleTimeout = silence % (60 * minute) == 0 ? silence : null,
                        Packets = [.. Enumerable.Range(0, 12).Select(i => new ReportPacket { Frame = i + 1, Time = i * silence, Kind = PacketKind.Probe, Idle = i > 0 ? silence : 0, Ordinal = i })],
                        Requests = [new(0, minute, 200, "GET / 200")],
                    }),
                ],
            }, "p", output);
        }
        await using var report = await chromium.OpenAsync(file, width: width);

        await report.PictureAsync($"silences-{width}");
        Assert.Empty(await report.OverlapsAsync());
        report.IsQuiet();
    }

    /// <summary>Ten million packets of 20,000 connections; KEEPALIVE_PACKETS is another number.</summary>
    [Fact]
    public async Task Probes_TenMillionPackets_OpenWithin3Seconds()
    {
        var packets = long.Parse(Environment.GetEnvironmentVariable("KEEPALIVE_PACKETS") ?? "10000000", CultureInfo.InvariantCulture);
        var (capture, file) = (Path.Combine(_directory, "large.pcap"), Path.Combine(Chromium.Pictures, "large.html"));
        WriteCapture(capture, packets, connections: 20_000);

        // Half of it has all of the connections, and more packets of each than are kept: the other half costs no more memory.
        var half = Path.Combine(_directory, "half.pcap");
        WriteCapture(half, packets / 2, connections: 20_000);
        var (least, most) = (Peak(half, Path.Combine(_directory, "half.html")), Peak(capture, file));

        TestContext.Current.SendDiagnosticMessage($"{packets} packets: peak of the resident memory {most / 1024.0:0.0} MB; half of them: {least / 1024.0:0.0} MB");
        Assert.InRange(most, 1, least + (16 * 1024));
        Assert.InRange(most, 1, 256 * 1024);
        Assert.InRange(new FileInfo(file).Length, 100_000, 5_000_000);
        await using var report = await chromium.OpenAsync(file);
        TestContext.Current.SendDiagnosticMessage($"{packets} packets: {new FileInfo(file).Length} bytes, open within {report.OpenedWithin.TotalSeconds:0.00} s");
        Assert.InRange(report.OpenedWithin, TimeSpan.Zero, TimeSpan.FromSeconds(3));
        Assert.Equal(packets.ToString("N0", CultureInfo.InvariantCulture), await report.Page.Locator("#facts dd").First.InnerTextAsync());
        Assert.Contains("19,800", (await report.Page.Locator("#left-out").InnerTextAsync()).Replace("19800", "19,800", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Equal("failed", await report.Page.Locator(".badge").First.InnerTextAsync());
        await report.PictureAsync("large");
        report.IsQuiet();
    }

    /// <summary>The most memory that <c>probes --report</c> had resident, KiB.</summary>
    private static long Peak(string capture, string file)
    {
        const string measure = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL); "
            + "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)";
        var result = ProgramRun.ToEnd(["python3", "-c", measure, ProgramRun.AgentPath, "probes", capture, "--report", file], timeout: s_patience);
        Assert.True(result.ExitCode == 0, result.Error);
        return long.Parse(result.Lines.Last(), CultureInfo.InvariantCulture);
    }

    /// <summary>Probes of many idle connections, answered but for those of each thousandth.</summary>
    private static void WriteCapture(string path, long packets, int connections)
    {
        using var file = new BufferedStream(File.Create(path), 1 << 20);
        Span<byte> head = [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
        file.Write(head);
        var record = new byte[16 + 54];
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(8), 54);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(12), 54);
        var frame = record.AsSpan(16);
        byte[] ethernetAndIp = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0];
        ethernetAndIp.CopyTo(frame);
        for (long written = 0, i = 0; written < packets; i++)
        {
            var connection = (int)(i % connections);
            var time = 1_700_000_000_000_000_000 + (i / connections * 60_000_000_000) + (connection * 2_000_000L);
            for (var reply = 0; reply < 2 && written < packets; reply++)
            {
                if (reply == 1 && connection % 1000 == 0)
                {
                    break;
                }
                var (client, server) = (0x0a000001u + (uint)(connection / 40_000), 0xcb00710au);
                var (port, known) = ((ushort)(20_000 + (connection % 40_000)), (ushort)443);
                BinaryPrimitives.WriteUInt32LittleEndian(record, (uint)((time + (reply * 800_000)) / 1_000_000_000));
                BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(4), (uint)((time + (reply * 800_000)) % 1_000_000_000));
                BinaryPrimitives.WriteUInt32BigEndian(frame[26..], reply == 0 ? client : server);
                BinaryPrimitives.WriteUInt32BigEndian(frame[30..], reply == 0 ? server : client);
                BinaryPrimitives.WriteUInt16BigEndian(frame[34..], reply == 0 ? port : known);
                BinaryPrimitives.WriteUInt16BigEndian(frame[36..], reply == 0 ? known : port);
                BinaryPrimitives.WriteUInt32BigEndian(frame[38..], reply == 0 ? 999u : 5_000u);
                BinaryPrimitives.WriteUInt32BigEndian(frame[42..], reply == 0 ? 5_000u : 1_000u);
                (frame[46], frame[47], frame[48], frame[49]) = (0x50, 16, 1, 0);
                file.Write(record);
                written++;
            }
        }
    }
}
