using Keepalive.Simulator.Reports;
using Keepalive.Simulator.Scenarios;
using Keepalive.Simulator.Virtual;
using Xunit;

namespace Keepalive.Simulator.Tests.Virtual;

/// <summary>Runs valid scenarios. A response may be later than the request timeout.</summary>
internal static class VirtualRun
{
    public static Scenario Read(string yaml)
    {
        var reading = ScenarioReader.ReadText(yaml, "scenario.yaml");
        Assert.All(reading.Diagnostics, diagnostic => Assert.Equal("KA206", diagnostic.Code));
        return reading.Scenario!;
    }

    public static RunResult Of(string yaml, bool everyProbe = false, int threads = 1) => Of(Read(yaml), everyProbe, threads);

    public static RunResult Of(Scenario scenario, bool everyProbe = false, int threads = 1) =>
        new(scenario, VirtualEngine.Run(scenario, new VirtualOptions(everyProbe, threads)));

    /// <summary>The whole report of a scenario.</summary>
    public static string Report(RunResult result)
    {
        using var text = new StringWriter();
        RunReport.WriteJson(result, text);
        return text.ToString();
    }
}
