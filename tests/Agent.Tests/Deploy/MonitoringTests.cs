using System.Text.Json;
using System.Text.RegularExpressions;
using Keepalive.Agent.Metrics;
using Keepalive.Testbed;
using Xunit;
using YamlDotNet.RepresentationModel;

namespace Keepalive.Agent.Tests.Deploy;

/// <summary>Alerts and dashboard use only metrics and labels of the agent, and the alerts fire only when they should.</summary>
public sealed partial class MonitoringTests
{
    /// <summary>Metrics of other exporters: Prometheus itself and kube-state-metrics.</summary>
    private static readonly HashSet<string> s_ofOthers = ["up", "kube_daemonset_status_desired_number_scheduled", "kube_daemonset_status_number_available"];

    /// <summary>Labels of the metrics in alerts and panels. The labels of the target are on every metric.</summary>
    private static readonly Dictionary<string, string[]> s_labels = new()
    {
        [MetricCatalogue.Sockets] = ["policy", "destination", "namespace", "state"],
        [MetricCatalogue.AppliedTotal] = ["policy", "namespace", "datapath"],
        [MetricCatalogue.ApplyFailuresTotal] = ["reason"],
        [MetricCatalogue.ProbesTotal] = ["policy", "destination", "namespace"],
        [MetricCatalogue.ProbeRepliesTotal] = ["policy", "destination", "namespace"],
        [MetricCatalogue.ProbesUnansweredTotal] = ["policy", "destination", "namespace"],
        [MetricCatalogue.ConnectionsDeadTotal] = ["policy", "destination", "namespace", "cause"],
        [MetricCatalogue.DestinationInPool] = ["policy", "destination", "endpoint"],
        [MetricCatalogue.Policies] = ["state"],
        [MetricCatalogue.KubernetesStateAgeSeconds] = ["resource"],
        [MetricCatalogue.AgentInfo] = ["version", "datapath", "kernel"],
        [MetricCatalogue.ShortUserTimeouts] = ["policy", "namespace"],
        [MetricCatalogue.UnprotectedSockets] = ["namespace", "reason"],
        ["kube_daemonset_status_desired_number_scheduled"] = ["daemonset"],
        ["kube_daemonset_status_number_available"] = ["daemonset"],
    };

    /// <summary>The labels of the target, which the PodMonitor adds to every series.</summary>
    private static readonly string[] s_targetLabels = ["job", "node", "instance"];

    [Fact]
    public void Queries_MetricsAndLabels_Exist()
    {
        var queries = AlertExpressions().Select(alert => alert.Expression).Concat(DashboardQueries()).ToList();

        Assert.True(queries.Count > 20);
        Assert.All(queries, query =>
        {
            var asked = Metric().Matches(Strings().Replace(query, "\"\"")).Select(match => match.Value).ToList();
            Assert.NotEmpty(asked);
            foreach (var name in asked)
            {
                var family = Suffix().Replace(name, "");
                Assert.True(
                    MetricCatalogue.Help.ContainsKey(name) || MetricCatalogue.Help.ContainsKey(family) || s_ofOthers.Contains(name),
                    $"no metric {name}: {query}");
            }
            foreach (Match selector in Selector().Matches(query))
            {
                var known = s_targetLabels.Concat(s_labels.GetValueOrDefault(selector.Groups[1].Value) ?? []);
                Assert.All(LabelName().Matches(selector.Groups[2].Value).Select(m => m.Groups[1].Value), label =>
                    Assert.True(known.Contains(label), $"{selector.Groups[1].Value} has no label {label}: {query}"));
            }
            foreach (Match grouping in By().Matches(query))
            {
                var known = s_targetLabels.Append("le").Concat(asked.SelectMany(name => s_labels.GetValueOrDefault(name) ?? []));
                Assert.All(grouping.Groups[1].Value.Split(',', StringSplitOptions.TrimEntries), label =>
                    Assert.True(known.Contains(label), $"none of {string.Join(", ", asked)} has a label {label}: {query}"));
            }
        });
    }

    [Fact]
    public void Labels_OfTheTests_AreThoseOfTheCode()
    {
        // Compares the table above with the code, where each label is a literal beside the metric's name.
        var source = string.Join('\n', Directory.EnumerateFiles(Path.Combine(Repository.Root, "src", "Agent"), "*.cs", SearchOption.AllDirectories)
            .Where(path => !path.Contains("/obj/", StringComparison.Ordinal)).Select(File.ReadAllText));
        Assert.All(s_labels.Where(pair => MetricCatalogue.Help.ContainsKey(pair.Key)).SelectMany(pair => pair.Value).Distinct(), label =>
            Assert.Matches($"(\"{label}\"|[{{,]{label}=)", source));
    }

    [Fact]
    public void Dashboard_HasPanelsWithoutOverlapsAndVariablesThatExist()
    {
        using var dashboard = JsonDocument.Parse(File.ReadAllText(DashboardPath));
        var panels = dashboard.RootElement.GetProperty("panels").EnumerateArray().ToList();
        var variables = dashboard.RootElement.GetProperty("templating").GetProperty("list").EnumerateArray().Select(v => v.GetProperty("name").GetString()!).ToHashSet();

        Assert.Equal(panels.Count, panels.Select(panel => panel.GetProperty("id").GetInt32()).Distinct().Count());
        var taken = new HashSet<(int, int)>();
        foreach (var panel in panels)
        {
            var at = panel.GetProperty("gridPos");
            int x = at.GetProperty("x").GetInt32(), y = at.GetProperty("y").GetInt32(), w = at.GetProperty("w").GetInt32(), h = at.GetProperty("h").GetInt32();
            Assert.InRange(x + w, 1, 24);
            for (var cell = 0; cell < w * h; cell++)
            {
                Assert.True(taken.Add((x + cell % w, y + cell / w)), $"{panel.GetProperty("title")} overlaps");
            }
        }
        var used = Variable().Matches(dashboard.RootElement.GetRawText()).Select(m => m.Groups[1].Value).Distinct().Where(name => !name.StartsWith("__", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(used);
        Assert.All(used, name => Assert.Contains(name, variables));
    }

    [Fact]
    public void Alerts_All_HaveSeveritySummaryAndDescription()
    {
        var rules = Rules().ToList();
        Assert.True(rules.Count >= 5);
        Assert.All(rules, rule =>
        {
            Assert.NotNull(rule.Text("for"));
            Assert.Contains(rule.Text("labels", "severity"), new[] { "warning", "critical" });
            Assert.NotNull(rule.Text("annotations", "summary"));
            Assert.NotNull(rule.Text("annotations", "description"));
        });
    }

    [Fact]
    public void Alerts_EachHaveACaseThatFiresAndOneThatIsSilent()
    {
        var cases = Manifests.Read(TestsPath).Single().Root.At("tests").Items().SelectMany(test => test.At("alert_rule_test").Items()).ToList();
        Assert.All(AlertExpressions(), alert =>
        {
            var own = cases.Where(c => c.Text("alertname") == alert.Name).ToList();
            Assert.Contains(own, c => c.At("exp_alerts").Items().Count > 0);
            Assert.Contains(own, c => c.At("exp_alerts").Items().Count == 0);
        });
        Assert.Empty(cases.Select(c => c.Text("alertname")!).Except(AlertExpressions().Select(alert => alert.Name)));
    }

    /// <summary>The configuration of a Prometheus without the operator, with the rules that it loads, as the page has it.</summary>
    [Fact]
    public void ConfigurationOfThePage_PassesPromtoolAndHasTheLabelsOfThePodMonitor()
    {
        Live.Require("promtool");
        var page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "metrics.md"));
        var config = page[(page.IndexOf("# prometheus.yml\n", StringComparison.Ordinal))..];
        config = config[..config.IndexOf("```", StringComparison.Ordinal)];
        foreach (var wanted in new[] { "job_name: keepalive-agent\n", "honor_labels: true\n", "target_label: node\n" })
        {
            Assert.Contains(wanted, config, StringComparison.Ordinal);
        }
        var directory = Directory.CreateTempSubdirectory("keepalive-prometheus");
        try
        {
            File.WriteAllText(Path.Combine(directory.FullName, "alerts.yaml"), RulesFile(Manifests.Single("PrometheusRule").Root.At("spec")!));
            // Debian's promtool is built without this discovery.
            const string discovery = "  kubernetes_sd_configs:\n  - role: pod\n    namespaces: {names: [keepalive-agent]}\n";
            Assert.Contains(discovery, config, StringComparison.Ordinal);
            File.WriteAllText(Path.Combine(directory.FullName, "prometheus.yml"), config.Replace(discovery, "  static_configs: [{targets: [\"127.0.0.1:9464\"]}]\n", StringComparison.Ordinal));
            Command.Run("promtool", "check", "config", Path.Combine(directory.FullName, "prometheus.yml"));
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    [Fact]
    public void Alerts_PassPromtool()
    {
        Live.Require("promtool");
        var directory = Directory.CreateTempSubdirectory("keepalive-alerts");
        try
        {
            File.WriteAllText(Path.Combine(directory.FullName, "alerts.yaml"), RulesFile(Manifests.Single("PrometheusRule").Root.At("spec")!));
            File.Copy(TestsPath, Path.Combine(directory.FullName, "alerts.test.yaml"));

            var check = Command.Run("promtool", "check", "rules", Path.Combine(directory.FullName, "alerts.yaml"));
            Assert.Contains($"SUCCESS: {Rules().Count()} rules found", check.Output, StringComparison.Ordinal);
            Command.Run("promtool", "test", "rules", Path.Combine(directory.FullName, "alerts.test.yaml"));
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    /// <summary>A Prometheus without its operator has the same alerts, and the labels that these use.</summary>
    [Fact]
    public void Prometheus_WithoutTheOperator_HasTheSameAlerts()
    {
        Assert.Equal(RulesFile(Manifests.Single("PrometheusRule").Root.At("spec")!), RulesFile(Manifests.Read(PlainFile("alerts.yaml")).Single().Root));

        var scrape = Manifests.Read(PlainFile("prometheus.yaml")).Single().Root.At("scrape_configs").Items().Single(job => job.Text("job_name") == "keepalive-agent");
        Assert.Equal("true", scrape.Text("honor_labels"));
        Assert.Contains(scrape.At("relabel_configs").Items(), rule => rule.Text("target_label") == "node");
    }

    [Fact]
    public void Prometheus_WithoutTheOperator_PassesPromtool()
    {
        Live.Require("promtool");
        var check = Command.Run("promtool", "check", "config", PlainFile("prometheus.yaml"));
        Assert.Contains("is valid prometheus config", check.Output, StringComparison.Ordinal);
        Assert.Contains($"SUCCESS: {Rules().Count()} rules found", check.Output, StringComparison.Ordinal);
    }

    private static string PlainFile(string name) => Path.Combine(Repository.Root, "deploy", "prometheus", name);

    private static string TestsPath => Path.Combine(Manifests.Monitoring, "alerts.test.yaml");

    private static string DashboardPath => Path.Combine(Manifests.Directory, "components", "grafana", "keepalive.json");

    private static IEnumerable<YamlNode> Rules() =>
        Manifests.Single("PrometheusRule").Root.At("spec", "groups").Items().SelectMany(group => group.At("rules").Items());

    private static IEnumerable<(string Name, string Expression)> AlertExpressions() =>
        Rules().Select(rule => (rule.Text("alert")!, rule.Text("expr")!));

    private static List<string> DashboardQueries()
    {
        using var dashboard = JsonDocument.Parse(File.ReadAllText(DashboardPath));
        var panels = dashboard.RootElement.GetProperty("panels").EnumerateArray()
            .Where(panel => panel.TryGetProperty("targets", out _))
            .SelectMany(panel => panel.GetProperty("targets").EnumerateArray())
            .Select(target => target.GetProperty("expr").GetString()!);
        var variables = dashboard.RootElement.GetProperty("templating").GetProperty("list").EnumerateArray()
            .Where(variable => variable.TryGetProperty("definition", out _))
            .Select(variable => VariableQuery().Match(variable.GetProperty("definition").GetString()!).Groups[1].Value);
        return [.. panels, .. variables];
    }

    /// <summary>The rules as the operator passes them to Prometheus: the object's spec.</summary>
    private static string RulesFile(YamlNode spec)
    {
        using var text = new StringWriter();
        new YamlStream(new YamlDocument(spec)).Save(text, assignAnchors: false);
        return text.ToString();
    }

    [GeneratedRegex(@"\b(keepalive|process|kube|container|node|go|dotnet)_[a-z0-9_]+\b|\bup\b")]
    private static partial Regex Metric();

    [GeneratedRegex("_(bucket|sum|count)$")]
    private static partial Regex Suffix();

    [GeneratedRegex("\"[^\"]*\"")]
    private static partial Regex Strings();

    [GeneratedRegex(@"\b([a-z_]+)\{([^}]*)\}")]
    private static partial Regex Selector();

    [GeneratedRegex("([a-zA-Z_]+)(?:=~|!~|!=|=)\"")]
    private static partial Regex LabelName();

    [GeneratedRegex(@"\b(?:by|on|without|ignoring) \(([^)]*)\)")]
    private static partial Regex By();

    [GeneratedRegex(@"\$\{?([a-zA-Z_]+)\b")]
    private static partial Regex Variable();

    [GeneratedRegex(@"^label_values\((.*), [a-z]+\)$")]
    private static partial Regex VariableQuery();
}
