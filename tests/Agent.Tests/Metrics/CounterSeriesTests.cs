using System.Text;
using Keepalive.Agent.Metrics;
using Prometheus;
using Xunit;

namespace Keepalive.Agent.Tests.Metrics;

/// <summary>Series of totals that another class counts.</summary>
public sealed class CounterSeriesTests
{
    private readonly CollectorRegistry _registry = Prometheus.Metrics.NewCustomRegistry();
    private readonly CounterSeries<(string Name, string Namespace)> _series;

    public CounterSeriesTests() => _series = new(
        Prometheus.Metrics.WithCustomRegistry(_registry).CreateCounter("c", "help", "name", "namespace"),
        static key => [key.Name, key.Namespace],
        static key => (MetricCatalogue.Other, Folded.Namespace(key.Namespace)));

    [Fact]
    public void Show_Totals_AreTheSeries()
    {
        Show(("a", "", 1), ("b", "", 2));
        Show(("a", "", 5), ("b", "", 2));
        Assert.Equal(["""c{name="a",namespace=""} 5""", """c{name="b",namespace=""} 2"""], Lines());
    }

    [Fact]
    public void Show_TotalMissing_SeriesEnds()
    {
        Show(("a", "", 1), ("b", "", 2));
        Show(("b", "", 2));
        Assert.Equal(["""c{name="b",namespace=""} 2"""], Lines());
        Show(("a", "", 3), ("b", "", 2));
        Assert.Equal(["""c{name="a",namespace=""} 3""", """c{name="b",namespace=""} 2"""], Lines());
    }

    [Fact]
    public void Show_CountBeganAgain_SeriesGoesOn()
    {
        Show(("a", "", 7));
        Show(("a", "", 2));
        Assert.Equal(["""c{name="a",namespace=""} 9"""], Lines());
    }

    [Fact]
    public void Show_TooMany_LaterOnesAreFoldedWithAndWithoutNamespace()
    {
        var own = Enumerable.Range(0, MetricCatalogue.MaxSeries).Select(i => ($"n{i}", "", 1L)).ToArray();
        Show(own);
        Show([.. own, ("x", "", 10), ("y", "", 5), ("z", "ci-1", 3), ("z", "ci-2", 4)]);
        var lines = Lines();
        Assert.Equal(MetricCatalogue.MaxSeries + 2, lines.Count);
        Assert.Contains("""c{name="other",namespace=""} 15""", lines);
        Assert.Contains("""c{name="other",namespace="other"} 7""", lines);

        // The folded count never decreases, and a folded series stays folded while the others are there.
        Show([.. own, ("x", "", 11)]);
        Assert.Contains("""c{name="other",namespace=""} 16""", Lines());
    }

    private void Show(params (string Name, string Namespace, long Total)[] totals) =>
        _series.Show([.. totals.Select(total => KeyValuePair.Create((total.Name, total.Namespace), total.Total))]);

    private List<string> Lines()
    {
        using var text = new MemoryStream();
        _registry.CollectAndExportAsTextAsync(text).GetAwaiter().GetResult();
        return [.. Encoding.UTF8.GetString(text.ToArray()).Split('\n').Where(line => line.StartsWith("c{", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
    }
}
