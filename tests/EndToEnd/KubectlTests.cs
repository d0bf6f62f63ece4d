using System.Diagnostics;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary><c>check</c>, <c>render</c>, <c>explain</c>, <c>sockets</c> and <c>audit</c> on a laptop: the real kubectl, and the tests' API
/// server.</summary>
public sealed class KubectlTests : IDisposable
{
    private readonly FakeApiServer _api = FakeApiServer.Start();
    private readonly KubectlBed _bed;

    public KubectlTests()
    {
        Live.Require("kubectl", "bash");
        _bed = new KubectlBed(_api);
    }

    [Fact]
    public void Check_OfACluster_JudgesItsObjects()
    {
        Gloo();
        var result = _bed.Run("check", "--context", "tests", "--balancer", "aws-nlb");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("ConnectionPolicy bookinfo/tcp-keepalive: error KA060: aws-nlb forgets a connection after 350s", result.Output, StringComparison.Ordinal);
        Assert.Contains("bookinfo/tcp-keepalive: 1 destination, 1 port, 1 address, time 700s interval 10s probes 20\n", result.Output, StringComparison.Ordinal);
        Assert.Contains("not installed in this cluster, skipped: ", result.Error, StringComparison.Ordinal);
        Assert.Contains("serviceentries.networking.istio.io", result.Error, StringComparison.Ordinal);

        var explained = _bed.Run("explain", "--context", "tests", "--to", "203.0.113.10:443");
        Assert.Equal(0, explained.ExitCode);
        Assert.StartsWith("203.0.113.10:443: policy bookinfo/tcp-keepalive (ConnectionPolicy bookinfo/tcp-keepalive)\n", explained.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Render_OfACluster_IsWhatItsPoliciesAmountTo()
    {
        _api.WithGloo();
        _api.Apply(ClusterText.Service("shop", "ratings", "10.96.0.10", 9080));
        _api.Apply("""
            {"apiVersion":"resilience.policy.gloo.solo.io/v2","kind":"ConnectionPolicy","metadata":{"name":"p","namespace":"shop"},
             "spec":{"applyToDestinations":[{"selector":{"name":"ratings"}}],"config":{"tcp":{"tcpKeepalive":{"time":"60s","interval":"5s","probes":3}}}}}
            """);
        var result = _bed.Run("render", "--kubeconfig", _bed.Kubeconfig, "--context", "tests");
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("  host: ratings.shop.svc.cluster.local\n", result.Output, StringComparison.Ordinal);
    }

    /// <summary>kubectl reads lists in pieces of 500; slices of Services that no policy selects are not kept.</summary>
    [Fact]
    public void Explain_ServiceOfALargeCluster_FindsItsEndpoint()
    {
        _api.WithGloo();
        for (int i = 0; i < 2_000; i++)
        {
            _api.Apply(ClusterText.Slice("shop", $"other-{i}", 80, Enumerable.Range(0, 20).Select(n => $"10.{i / 250}.{i % 250}.{n}")));
        }
        _api.Apply(ClusterText.Service("shop", "ratings", "10.96.0.10", 9080));
        _api.Apply(ClusterText.Slice("shop", "ratings", 8080, "10.99.2.3"));
        _api.Apply("""
            {"apiVersion":"resilience.policy.gloo.solo.io/v2","kind":"ConnectionPolicy","metadata":{"name":"p","namespace":"shop"},
             "spec":{"applyToDestinations":[{"selector":{"name":"ratings"}}],"config":{"tcp":{"tcpKeepalive":{"time":"60s","interval":"5s","probes":3}}}}}
            """);
        var result = _bed.Run("explain", "--context", "tests", "--timeout", "60s", "--to", "10.99.2.3:8080");
        Assert.True(result.Output.StartsWith("10.99.2.3:8080: policy shop/p (ConnectionPolicy shop/p)\n", StringComparison.Ordinal), result.Output + result.Error);
        Assert.Contains(_api.Requests, request => request.Contains("continue=", StringComparison.Ordinal));
    }

    [Fact]
    public void Check_KindThatIsForbidden_IsReportedAndSkipped()
    {
        Gloo();
        _api.Kind("virtualgateways").Refusal = 403;
        var result = _bed.Run("check", "--context", "tests");
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("warning: virtualgateways.networking.gloo.solo.io are skipped: Error from server (Forbidden): virtualgateways is refused", result.Error, StringComparison.Ordinal);
        Assert.Contains("bookinfo/tcp-keepalive: 1 destination", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_DestinationRules_CountOnlyWithoutGloo()
    {
        _api.WithIstio();
        _api.Apply("""
            {"apiVersion":"networking.istio.io/v1","kind":"ServiceEntry","metadata":{"name":"ratings","namespace":"shop"},
             "spec":{"hosts":["ratings.example"],"addresses":["203.0.113.9"],"ports":[{"number":443,"name":"tcp","protocol":"TCP"}],"location":"MESH_EXTERNAL"}}
            """);
        _api.Apply("""
            {"apiVersion":"networking.istio.io/v1","kind":"DestinationRule","metadata":{"name":"ratings","namespace":"shop"},
             "spec":{"host":"ratings.example","trafficPolicy":{"connectionPool":{"tcp":{"tcpKeepalive":{"time":"60s","interval":"5s","probes":3}}}}}}
            """);
        Assert.Contains("DestinationRule/shop/ratings: 1 destination", _bed.Run("check", "--context", "tests").Output, StringComparison.Ordinal);
        Gloo();
        var both = _bed.Run("check", "--context", "tests");
        Assert.DoesNotContain("DestinationRule", both.Output, StringComparison.Ordinal);
        Assert.Contains("destinationrules.networking.istio.io are skipped", both.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_FileAndCluster_FileTakesPrecedence()
    {
        Gloo();
        string file = Path.Combine(Path.GetDirectoryName(_bed.Kubeconfig)!, "policy.yaml");
        File.WriteAllText(file, ClusterText.Policy("""{"time":"60s","interval":"5s","probes":3}"""));
        Assert.Contains("time 60s interval 5s probes 3", _bed.Run("check", file, "--context", "tests").Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tests", "echo 'W1130 config.go:70] deprecated\u001b[31m' >&2", 0, "kubectl: W1130 config.go:70] deprecated?[31m")]
    [InlineData("tests", "exec sleep 600", 4, "kubectl printed nothing for 2 s and was ended")]
    [InlineData("tests", "sleep 600 & wait; exit 0", 4, "kubectl printed nothing for 2 s and was ended")]
    [InlineData("tests", "[[ $* == *api-versions* ]] || { echo '{\"items\":['; exit 0; }", 4, "kubectl's output cannot be used")]
    [InlineData("tests", "[[ $* == *api-versions* ]] || { echo 'hello'; exit 0; }", 4, "kubectl's output cannot be used")]
    [InlineData("tests", "echo 'error: exec plugin: interactive login is not possible' >&2; exit 1", 4, "kubectl cannot read the cluster: error: exec plugin: interactive login")]
    [InlineData("tests", "seq -f 'Warning %g: äää' 1 2000 >&2; echo 'the certificate has expired' >&2; exit 1", 4, "kubectl cannot read the cluster: the certificate has expired")]
    [InlineData("tests", "exit 0", 4, "kubectl cannot read the cluster: 'kubectl api-versions' did not print v1")]
    [InlineData("tests", "echo '<html>'; exit 0", 4, "kubectl cannot read the cluster: 'kubectl api-versions' did not print v1")]
    [InlineData("nowhere", "", 4, "kubectl cannot read the cluster: ")]
    [InlineData("nobody", "", 4, "context \"nobody\" does not exist")]
    public void Check_WithSuchAKubectl_SaysSo(string context, string first, int exitCode, string says)
    {
        Gloo();
        _bed.Install($"#!/bin/bash\n{first}\nexec {KubectlBed.Real} \"$@\"\n");
        var took = Stopwatch.StartNew();
        // On a busy machine kubectl itself takes seconds to start.
        var timeout = says.Contains("for 2 s", StringComparison.Ordinal) ? "2s" : "20s";
        var result = _bed.Run("check", "--context", context, "--timeout", timeout);
        Assert.Contains(says, result.Error.Replace("did you mean", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Equal(exitCode, result.ExitCode);
        Assert.DoesNotContain('\u001b', result.Error);
        Assert.InRange(took.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(30));
    }

    /// <summary>kubectl's credential plugins have its standard input and standard error.</summary>
    [Fact]
    public void Check_CredentialPluginAsksForAPassword_PromptIsShownAndAnswered()
    {
        Gloo();
        _bed.Install($"""
            #!/bin/bash
            if [[ ! -e $HOME/token ]]; then
                read -rp 'Password for tests: ' word
                if [[ $word != secret ]]; then echo 'error: wrong password' >&2; exit 1; fi
                touch $HOME/token
            fi
            exec {KubectlBed.Real} "$@"
            """);
        Assert.Equal(4, _bed.Run("check", "--context", "tests").ExitCode);
        var result = _bed.RunOnTerminal("Password for tests: ", "secret", "check", "--context", "tests");
        Assert.Contains("Password for tests: ", result.Output, StringComparison.Ordinal);
        Assert.Contains("bookinfo/tcp-keepalive: 1 destination", result.Output, StringComparison.Ordinal);
        Assert.Equal(0, result.ExitCode);
    }

    [Fact]
    public void Check_WithoutKubectl_SaysWhatIsMissing()
    {
        _bed.Uninstall();
        var result = _bed.Run("check", "--cluster");
        Assert.Equal((3, ""), (result.ExitCode, result.Output));
        Assert.Contains("kubectl cannot be started", result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("check", "give policy files, or --cluster to read a cluster")]
    [InlineData("check --cluster -o sarif", "mark lines of files")]
    [InlineData("check x.yaml --timeout 1s", "--timeout belongs to --cluster")]
    [InlineData("sockets --cluster --netns /proc/1/ns/net", "--netns is about one node")]
    [InlineData("audit --cluster --policies x.yaml", "--policies is about one node")]
    [InlineData("audit --agent-namespace x", "--agent-namespace belongs to --cluster")]
    [InlineData("explain --cluster x.yaml --socket 1", "policy files are on this machine")]
    public void Options_ThatDoNotGoTogether_AreRefused(string words, string says)
    {
        var result = _bed.Run(words.Split(' '));
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(says, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Audit_OfAllNodes_ShowsWhoIsAtRiskAndNodesThatFail()
    {
        using var lab = new Lab();
        int port = lab.Server.Listen();
        lab.Client.Connect(Lab.ServerAddress, port);
        Nodes(lab);
        var result = _bed.Run("audit", "--context", "tests", "--idle", "0s", "--balancer", "aws-nlb");
        Assert.Equal(4, result.ExitCode);
        Assert.Matches(@"^AT RISK +NODE +NAMESPACE +POD +CONNECTIONS ", result.Output);
        Assert.Matches($@"(?m)^1 +node-1 +shop +cart-1/app +1 .* 10\.77\.0\.2:{port} +off +no keepalive", result.Output);
        Assert.Matches($@"(?m)^1 +node-2 +- +- +1 .* accepted on 10\.77\.0\.2:{port} +off +no keepalive", result.Output);
        Assert.Contains("2 connections on 2 nodes: 2 at risk of being forgotten by aws-nlb after 350s; 4 nodes could not be examined\n", result.Output, StringComparison.Ordinal);
        Assert.Contains("node node-3 (keepalive-agent/agent-3) failed: Error from server: error dialing backend: no route to host", result.Error, StringComparison.Ordinal);
        Assert.Contains("node node-4 (keepalive-agent/agent-4) failed: its agent is of another version", result.Error, StringComparison.Ordinal);
        Assert.Contains("node node-5 (keepalive-agent/agent-5) failed: its agent printed something else", result.Error, StringComparison.Ordinal);
        Assert.Contains("node node-6 (keepalive-agent/agent-6) failed: its container agent does not run", result.Error, StringComparison.Ordinal);
        Assert.All(_bed.Execs, line => Assert.Contains("--idle 0s", line, StringComparison.Ordinal));
        Assert.Equal(1, _bed.Run("audit", "--context", "tests", "--idle", "0s", "--fail").ExitCode);

        List<JsonElement> lines = [.. _bed.Run("audit", "--context", "tests", "--idle", "0s", "-o", "json").Lines.Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal(("total", 2, 4), (lines[^1].GetProperty("kind").GetString(), lines[^1].GetProperty("atRisk").GetInt32(), lines[^1].GetProperty("failedNodes").GetInt32()));
        Assert.Contains(lines, line => line.TryGetProperty("kind", out var kind) && kind.GetString() == "summary" && line.GetProperty("node").GetString() == "node-2");
    }

    [Fact]
    public void Sockets_OfAllNodes_HaveNodeNamespaceAndPodInFront()
    {
        using var lab = new Lab();
        int port = lab.Server.Listen();
        int id = lab.Client.Connect(Lab.ServerAddress, port);
        Nodes(lab);
        var result = _bed.Run("sockets", "--context", "tests");
        Assert.Equal(4, result.ExitCode);
        Assert.Matches("^NODE +NAMESPACE +POD +STATE ", result.Output);
        Assert.Matches($@"(?m)^node-1 +shop +cart-1/app +ESTABLISHED +{lab.Client.LocalEndPoint(id)} +10\.77\.0\.2:{port} +off ", result.Output);
        Assert.Matches(@"(?m)^node-2 +- +- +LISTEN ", result.Output);
        var lines = _bed.Run("sockets", "--context", "tests", "-o", "json").Lines.Select(line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.Equal(["node-1", "node-2"], lines.Select(line => line.GetProperty("node").GetString()!).Distinct());
        Assert.All(lines, line => Assert.Equal("node", line.EnumerateObject().First().Name));

        var explained = _bed.Run("explain", "--context", "tests", "--socket", lab.Client.LocalEndPoint(id).ToString());
        Assert.Contains("node node-1\n  ", explained.Output, StringComparison.Ordinal);
        Assert.Contains($"{lab.Client.LocalEndPoint(id)} → 10.77.0.2:{port}\n", explained.Output, StringComparison.Ordinal);
        Assert.Contains("node node-2\n  ", explained.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Agents_ManyAndHostile_AreAskedTenAtATimeAndMasked()
    {
        for (int i = 1; i <= 25; i++)
        {
            _bed.AddNode(_api, i, "sleep 0.3; echo '{\"netns\":1,\"cookie\":1,\"state\":\"ESTABLISHED\",\"command\":\"\\u001b]0;x\\u0007\",\"pid\":1,\"policy\":\"\\u009b31m\"}'");
        }
        // A tenant's pod with the agent's label is not asked.
        _api.Apply(KubectlBed.Agent(99, ns: "tenant"));
        foreach (string output in new[] { "table", "json" })
        {
            var result = _bed.Run("sockets", "--context", "tests", "-o", output);
            Assert.Equal(0, result.ExitCode);
            Assert.Equal(25 + (output == "table" ? 1 : 0), result.Lines.Count());
            Assert.DoesNotContain(result.Output, character => character != '\n' && char.IsControl(character));
        }
        Assert.InRange(_bed.MostAtATime, 2, 10);
        Assert.DoesNotContain(_bed.Execs, line => line.Contains("agent-99", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("yes", "more than 128 MiB came|more than 500000 lines came")]
    [InlineData("tr '\\0' x < /dev/zero", "a line of more than 64 KiB came")]
    [InlineData("exec sleep 600", "kubectl printed nothing for 2 s and was ended")]
    public void Agent_ThatPrintsWithoutEnd_FailsAlone(string script, string says)
    {
        _bed.AddNode(_api, 1, script);
        _bed.AddNode(_api, 2, "echo '{\"netns\":1,\"cookie\":1,\"state\":\"ESTABLISHED\"}'");
        var result = _bed.Run("sockets", "--context", "tests", "--timeout", "2s");
        Assert.Equal(4, result.ExitCode);
        Assert.Matches(says, result.Error);
        Assert.Contains("node-2", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Agents_NoneInTheNamespace_IsAnErrorThatNamesTheOption()
    {
        _api.Apply(KubectlBed.Agent(1, ns: "kube-system"));
        var result = _bed.Run("audit", "--context", "tests");
        Assert.Equal((4, ""), (result.ExitCode, result.Output));
        Assert.Contains("--agent-namespace", result.Error, StringComparison.Ordinal);
        Assert.Contains("error dialing backend", _bed.Run("audit", "--context", "tests", "--agent-namespace", "kube-system").Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Plugin_ReadsTheClusterAndHasItsOwnName()
    {
        Gloo();
        var result = _bed.Plugin("explain", "--context", "tests", "--to", "203.0.113.10:443");
        Assert.Equal(0, result.ExitCode);
        Assert.StartsWith("203.0.113.10:443: policy bookinfo/tcp-keepalive", result.Output, StringComparison.Ordinal);
        var help = _bed.Plugin("audit", "--help");
        Assert.Contains("Usage: kubectl keepalive audit", help.Output, StringComparison.Ordinal);
        Assert.Contains("Example:\n  kubectl keepalive audit ", help.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("keepalive-agent audit", help.Output, StringComparison.Ordinal);
        Assert.Contains("kubectl keepalive: no command", _bed.Plugin().Error, StringComparison.Ordinal);
        Assert.Equal(2, _bed.Plugin("run").ExitCode);
        // The current context leads nowhere: without files and options the cluster is read.
        Assert.Contains("kubectl cannot read the cluster", _bed.Plugin("check").Error, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _bed?.Dispose();
        _api.Dispose();
    }

    private void Gloo()
    {
        _api.WithGloo();
        _api.Apply(ClusterText.ExternalService("203.0.113.10"));
        _api.Apply(ClusterText.Policy("""{"time":"700s","interval":"10s","probes":20}"""));
    }

    /// <summary>Two nodes with the sockets of the lab's two ends, and four that fail in different ways.</summary>
    private void Nodes(Lab lab)
    {
        _api.Apply("""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}""");
        _api.Apply(ClusterText.Pod("shop", "cart-1", Guid.NewGuid().ToString(), "node-1", Lab.ClientAddress, "app", new string('5', 64), leftAlone: false));
        string state = Path.Combine(Path.GetDirectoryName(_bed.Kubeconfig)!, "home", "state");
        _bed.AddNode(_api, 1, $"{ProgramRun.AgentPath} \"$@\" --netns {lab.Client.NetnsPath} --state-dir {state} --kubernetes-api {_api.Address} --node-name node-1");
        _bed.AddNode(_api, 2, $"{ProgramRun.AgentPath} \"$@\" --netns {lab.Server.NetnsPath} --state-dir {state}");
        _bed.AddNode(_api, 3, null);
        _bed.AddNode(_api, 4, "echo \"keepalive-agent: there is no option '--socket'\" >&2; (exit 2)");
        _bed.AddNode(_api, 5, "echo '<html>'");
        _api.Apply(KubectlBed.Agent(6, state: "waiting"));
    }
}
