using System.Globalization;
using System.Net;
using Keepalive.Simulator.Discover;
using Xunit;

namespace Keepalive.Simulator.Tests.Discover;

/// <summary>Runs a whole measurement in virtual time.</summary>
internal static class VirtualMeasurement
{
    public static Measurement Run(
        ITestOutputHelper output, int seed, Func<WaitingClock, SimulatedWay> create, int until, Action<SimulatedWay>? more = null, bool payload = false,
        Action<Discovery>? progress = null)
    {
        var clock = new WaitingClock();
        var way = create(clock);
        more?.Invoke(way);
        using var discovery = new Discovery(
            new DiscoverRequest
            {
                Remote = new IPEndPoint(IPAddress.Loopback, 1),
                Until = TimeSpan.FromSeconds(until),
                Connections = 64,
                Precision = 0.02,
                Payload = payload ? "hello"u8.ToArray() : [],
                Pace = new Pace(TimeSpan.FromSeconds(0.1), clock),
            },
            clock,
            (_, local) => way.Connect(local));
        var measured = discovery.Run(progress ?? (_ => { }), TestContext.Current.CancellationToken);
        output.WriteLine($"seed {seed}: {Text(measured)}");
        Assert.True(measured.Took <= discovery.Deadline + TimeSpan.FromSeconds(1), Text(measured));
        return measured;
    }

    public static string Text(Measurement measured) => string.Create(CultureInfo.InvariantCulture,
        $"{measured.Timeout.From.TotalSeconds:0.00}..{measured.Timeout.To?.TotalSeconds:0.00} {string.Join('/', measured.Classes)} {string.Join('/', measured.Refreshes)} "
        + $"age {measured.MaximumAge?.To} tried {measured.IsPayloadTried} probed {measured.FarEndProbes} closes {measured.FarEndCloses} changed {measured.ChangedAt} "
        + $"contradictory {measured.IsContradictory} {measured.Several?.Dropped} {measured.Several?.Known} limited {measured.Limited} {measured.Connections} in {measured.Took.TotalSeconds:0.0} s, cut {measured.Cut}");
}
