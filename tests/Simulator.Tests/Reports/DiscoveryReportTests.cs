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
