using System.Net;
using System.Text.Json;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Discover;
using Keepalive.Simulator.Reports;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Reports;

public sealed class DiscoveryReportTests
{
    [Fact]
    public void Json_EachField_IsListedInThePage()
    {
        var page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "discover.md"));
        using var output = new StringWriter();
        DiscoveryReport.WriteJson(new DiscoveryVerdict(new DiscoveryTarget("192.0.2.1", 7000), Measured(4.9, 5.1), Measured(6.9, 7.1)), "a", output);
        using var json = JsonDocument.Parse(output.ToString());
        var direct = json.RootElement.GetProperty("direct");

        Assert.All(json.RootElement.EnumerateObject().Concat(direct.EnumerateObject()), field => Assert.Contains($"`{field.Name}`", page, StringComparison.Ordinal));
        Assert.Equal(6.5, json.RootElement.GetProperty("maximumAgeSeconds").GetDouble());
        Assert.Equal(8, json.RootElement.GetProperty("changedAtSeconds").GetDouble());
    }

    /// <summary>Regression: what was not measured was printed as 0.</summary>
    [Fact]
    public void Unmeasured_Values_AreNotPrinted()
    {
        var nothing = Measured(0, 1) with { Timeout = default, Classes = [], Refreshes = [], MaximumAge = null, RoundTrip = TimeSpan.Zero, Cut = "interrupted" };
        using var json = JsonDocument.Parse(Written(output => DiscoveryReport.WriteJson(Verdict(nothing), "a", output)));
        var text = Text(nothing);

        Assert.Equal(JsonValueKind.Null, json.RootElement.GetProperty("idleTimeoutLeastSeconds").ValueKind);
        Assert.Equal("nothing was measured", json.RootElement.GetProperty("noPolicy").GetString());
        Assert.Contains("  idle timeout    unknown\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("round trip", text, StringComparison.Ordinal);
        Assert.Contains("round trip under 0.1 ms", Text(nothing with { RoundTrip = TimeSpan.FromMicroseconds(30) }), StringComparison.Ordinal);
        Assert.Contains("round trip 0.3 ms", Text(nothing with { RoundTrip = TimeSpan.FromMicroseconds(300) }), StringComparison.Ordinal);
    }

    [Fact]
    public void MaximumAge_Text_DoesNotSayThatNothingWasForgotten()
    {
        var text = Text(Measured(0, 1) with { Timeout = new Bracket(TimeSpan.FromSeconds(4.98), null), Classes = [], Refreshes = [] });

        Assert.Contains("  idle timeout    none in the 4.98 s that connections live\n  restarted by    nothing: connections are closed 6.00 to 6.50 s after they were opened", text, StringComparison.Ordinal);
        Assert.DoesNotContain("longer than", text, StringComparison.Ordinal);
    }

    /// <summary>Regression: a box that drops, and ignores probes, was called a proxy that closes connections and answers probes itself.</summary>
    [Theory]
    [InlineData(nameof(ExpiryClass.SilentDrop), false)]
    [InlineData(nameof(ExpiryClass.DropUntilSyn), false)]
    [InlineData(nameof(ExpiryClass.ResetOnNextPacket), false)]
    [InlineData(nameof(ExpiryClass.ResetBoth), true)]
    [InlineData(nameof(ExpiryClass.FinBoth), true)]
    public void PayloadOnly_Proxy_IsNamedOnlyIfConnectionsAreClosed(string expiry, bool isProxy)
    {
        var verdict = Verdict(Measured(4, 5) with { Classes = [Enum.Parse<ExpiryClass>(expiry)], Refreshes = [Refresh.PayloadOnly], IsPayloadTried = true, MaximumAge = null });

        Assert.Null(verdict.Advise(out var reason));
        Assert.StartsWith(isProxy ? "a proxy or the far end itself" : "no sign of one: idle connections are dropped, not closed. It looks like a firewall that ignores keepalive probes", verdict.Proxy, StringComparison.Ordinal);
        Assert.Equal(isProxy, reason.Contains("answers probes itself", StringComparison.Ordinal));
        Assert.Equal(!isProxy, reason.Contains("keepalive probes are ignored", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("sends something every 7.0 s", true, 7.0, 7.1, 7.0, 7.2, 6.9)]
    [InlineData("sends keepalive probes every 7.0 s", false, 7.0, 7.1, 7.0, 7.2, 6.9)]
    [InlineData("sends something from time to time, after 1.0 to 9.0 s", true, 1.0, 9.0, 4.0, 6.0, 2.0)]
    public void FarEnd_Speech_IsCalledAnIntervalOnlyIfItIsOne(string expected, bool isPayload, params double[] after)
    {
        var speech = FarEndSpeech.Of([.. after.Select(TimeSpan.FromSeconds)]);
        var measured = Measured(4, 5) with { FarEndProbes = TimeSpan.FromSeconds(3), FarEndSpeech = speech, FarEndSendsPayload = isPayload };
        using var json = JsonDocument.Parse(Written(output => DiscoveryReport.WriteJson(Verdict(measured), "a", output)));

        Assert.Contains($"round trip 1 ms; {expected}\n", Text(measured), StringComparison.Ordinal);
        Assert.Equal(expected.Contains("every", StringComparison.Ordinal) ? JsonValueKind.Number : JsonValueKind.Null, json.RootElement.GetProperty("farEndProbesSeconds").ValueKind);
    }

    /// <summary>Several addresses behind one name: one policy for all, by the shortest timeout, and a file that describes that one.</summary>
    [Fact]
    public void Addresses_Several_HaveOnePolicyAndOneFile()
    {
        var none = Measured(0, 1) with { Timeout = new Bracket(TimeSpan.FromSeconds(20), null), Classes = [], Refreshes = [], MaximumAge = null };
        DiscoveryVerdict[] all = [Verdict(Measured(60, 61), "192.0.2.1"), Verdict(Measured(50, 51), "192.0.2.2"), Verdict(none, "192.0.2.3"),
            Verdict(Measured(40, 41) with { Refreshes = [Refresh.PayloadOnly] }, "192.0.2.4")];
        var policy = Written(output => DiscoveryReport.WritePolicy(all, "office", output));
        var file = MeasuredBalancer.Write("office", all[1], all);

        Assert.Contains("# Keeps connections to 2 addresses, by the shortest of their idle timeouts (", policy, StringComparison.Ordinal);
        Assert.Contains("  addresses:\n  - \"192.0.2.2\"\n  - \"192.0.2.1\"\n\n192.0.2.4:7000: TCP keepalive cannot help", policy, StringComparison.Ordinal);
        Assert.StartsWith("""
            # Measured at 192.0.2.2:7000 by keepalive-sim discover.
            # 192.0.2.1:7000: 60000ms to 61000ms, silent-drop
            # 192.0.2.3:7000: no idle timeout was measured
            # 192.0.2.4:7000: 40000ms to 41000ms, silent-drop
            name: office
            idleTimeout: 50000ms
            """, file, StringComparison.Ordinal);
    }

    private static DiscoveryVerdict Verdict(Measurement measured, string address = "192.0.2.1") =>
        new(new DiscoveryTarget(address, 7000), measured with { Request = measured.Request with { Remote = new IPEndPoint(IPAddress.Parse(address), 7000) } }, null);

    private static string Text(Measurement measured) => Written(output => DiscoveryReport.WriteText(Verdict(measured), output));

    private static string Written(Action<TextWriter> write)
    {
        using var output = new StringWriter { NewLine = "\n" };
        write(output);
        return output.ToString();
    }

    private static Measurement Measured(double least, double most) => new()
    {
        Request = new DiscoverRequest
        {
            Remote = new IPEndPoint(IPAddress.Parse("192.0.2.1"), 7000),
            Until = TimeSpan.FromSeconds(30),
            Connections = 8,
            Precision = 0.02,
            Pace = new Pace(TimeSpan.FromSeconds(0.1), TimeProvider.System),
        },
        Timeout = new Bracket(TimeSpan.FromSeconds(least), TimeSpan.FromSeconds(most)),
        Classes = [ExpiryClass.SilentDrop],
        Refreshes = [Refresh.AnyPacket],
        MaximumAge = new Bracket(TimeSpan.FromSeconds(6), TimeSpan.FromSeconds(6.5)),
        ChangedAt = TimeSpan.FromSeconds(8),
        RoundTrip = TimeSpan.FromMilliseconds(1),
        Connections = 20,
        Took = TimeSpan.FromSeconds(9),
    };
}
