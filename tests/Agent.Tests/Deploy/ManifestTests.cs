using System.CommandLine;
using System.Reflection;
using System.Text.RegularExpressions;
using Keepalive.Agent.Commands;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Linux.Processes;
using Keepalive.Testbed;
using Xunit;
using YamlDotNet.RepresentationModel;
using Command = Keepalive.Testbed.Command;

namespace Keepalive.Agent.Tests.Deploy;

/// <summary>The manifests agree with the program, and all of their references exist.</summary>
public sealed partial class ManifestTests
{
    /// <summary>The default port of <c>run</c>: design, "Command line".</summary>
    private const string DefaultPort = "9464";

    /// <summary>The page about the manifests.</summary>
    private static readonly string s_page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "kubernetes.md"));

    [Fact]
    public void EveryFile_Parsed_HasKubernetesRequiredFields()
    {
        var all = Manifests.All();

        Assert.True(all.Count >= 12, $"only {all.Count} objects");
        Assert.All(all, manifest =>
        {
            Assert.NotNull(manifest.Root.Text("apiVersion"));
            Assert.NotEqual("", manifest.Kind);
            if (!IsForKustomize(manifest))
            {
                Assert.Matches("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", manifest.Name);
            }
        });
        // Two objects with one kind and name would be the same object.
        Assert.Empty(all.Where(m => !IsForKustomize(m)).GroupBy(m => (m.Kind, m.Name)).Where(g => g.Count() > 1).Select(g => g.Key));
    }

    [Fact]
    public void EveryFile_BelongsToSomeKustomizationAndEveryReferenceExists()
    {
        var referenced = new HashSet<string>(StringComparer.Ordinal);
        foreach (var kustomization in Manifests.All().Where(IsForKustomize))
        {
            var directory = Path.GetDirectoryName(Path.Combine(Repository.Root, kustomization.Path))!;
            var files = kustomization.Root.At("configMapGenerator").Items().SelectMany(map => map.At("files").Texts());
            foreach (var entry in kustomization.Root.At("resources").Texts().Concat(kustomization.Root.At("components").Texts()).Concat(files))
            {
                var path = Path.GetFullPath(Path.Combine(directory, entry[(entry.IndexOf('=', StringComparison.Ordinal) + 1)..]));
                if (Directory.Exists(path))
                {
                    path = Path.Combine(path, "kustomization.yaml");
                    // kustomize rejects a base that contains its overlay, as a cycle.
                    Assert.False(directory.StartsWith(Path.GetDirectoryName(path)! + "/", StringComparison.Ordinal), $"{kustomization.Path}: {entry} is above it");
                }
                Assert.True(File.Exists(path), $"{kustomization.Path}: {entry} is not there");
                referenced.Add(path);
            }
        }
        var roots = new[] { "kustomization.yaml", "overlays/audit/kustomization.yaml", "overlays/monitored/kustomization.yaml", "overlays/mesh/kustomization.yaml", "components/istio-only/kustomization.yaml" }
            .Select(name => Path.Combine(Manifests.Directory, name));
        var unused = Directory.EnumerateFiles(Manifests.Directory, "*", SearchOption.AllDirectories)
            .Where(path => !path.EndsWith(".test.yaml", StringComparison.Ordinal))
            .Except(referenced).Except(roots);
        Assert.Empty(unused);
    }

    [Fact]
    public void Arguments_AreUnderstoodByTheProgram_AlsoThoseOfTheAuditOverlay()
    {
        var arguments = Manifests.Container().At("args").Texts();
        var added = Manifests.Read(Path.Combine(Manifests.Directory, "components", "audit", "kustomization.yaml")).Single()
            .Root.At("patches").Items().SelectMany(patch => AddedArguments(patch.Text("patch")!)).ToList();

        Assert.Equal(["--dry-run"], added);
        foreach (var words in new[] { arguments, [.. arguments, .. added] })
        {
            var parsed = new RootCommand { RunCommand.Create() }.Parse(words);
            Assert.Empty(parsed.Errors);
            Assert.Equal("run", parsed.CommandResult.Command.Name);
            Assert.Equal(words.Contains("--dry-run"), parsed.GetValue<bool>("--dry-run"));
            Assert.False(parsed.GetValue<bool>("--once"));
        }
    }

    [Fact]
    public void Ports_AreTheProgramsOwn()
    {
        var container = Manifests.Container();
        var port = container.At("ports").Named("metrics");
        Assert.Equal(DefaultPort, port.Text("containerPort"));
        // Without --listen the default applies.
        Assert.DoesNotContain(container.At("args").Texts(), argument => argument.StartsWith("--listen", StringComparison.Ordinal));
        Assert.Contains($"[::]:{DefaultPort}", RunCommand.Create().Options.Single(o => o.Name == "--listen").Description!, StringComparison.Ordinal);

        foreach (var (probe, path) in new[] { ("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz") })
        {
            Assert.Equal(path, container.Text(probe, "httpGet", "path"));
            Assert.Equal("metrics", container.Text(probe, "httpGet", "port"));
        }
        var service = Assert.Single(Manifests.Single("Service").Root.At("spec", "ports").Items());
        Assert.Equal((DefaultPort, "metrics"), (service.Text("port"), service.Text("targetPort")));
        Assert.Equal("metrics", Assert.Single(Manifests.Single("PodMonitor").Root.At("spec", "podMetricsEndpoints").Items()).Text("port"));
        Assert.Equal(DefaultPort, Manifests.DaemonSet().Text("spec", "template", "metadata", "annotations", "prometheus.io/port"));
        Assert.Contains($"EXPOSE {DefaultPort}", File.ReadAllText(Path.Combine(Repository.Root, "Dockerfile")), StringComparison.Ordinal);
    }

    [Fact]
    public void Capabilities_AreThoseOfThePageAndTheUnit_AndNothingElse()
    {
        var security = Manifests.Container().At("securityContext")!;
        var added = security.At("capabilities", "add").Texts().Order(StringComparer.Ordinal).ToList();

        Assert.Equal(["ALL"], security.At("capabilities", "drop").Texts());
        Assert.Equal("false", security.Text("privileged"));
        Assert.Equal("0", security.Text("runAsUser"));
        Assert.Equal("true", security.Text("readOnlyRootFilesystem"));

        var section = s_page[s_page.IndexOf("\n## Privileges\n", StringComparison.Ordinal)..];
        section = section[..section.IndexOf("\n## ", 4, StringComparison.Ordinal)];
        Assert.Equal(added, TableOfCapabilities().Matches(section).Select(match => match.Groups[1].Value).Order(StringComparer.Ordinal));

        Assert.Equal(
            added.Select(name => "CAP_" + name),
            SystemdUnit.Read()["CapabilityBoundingSet"].Single().Split(' ').Order(StringComparer.Ordinal));

        // All capabilities of the program, or CAP_SYS_ADMIN in place of some.
        var stoodFor = new[] { Capability.Bpf, Capability.Perfmon };
        Assert.All(Enum.GetValues<Capability>().Except(stoodFor), c => Assert.Contains(Capabilities.Name(c)["CAP_".Length..], added));
    }

    [Fact]
    public void Pod_IsAllowedByItsNamespaceAndByItsNode()
    {
        var pod = Manifests.DaemonSet().At("spec", "template", "spec")!;
        Assert.Equal("true", pod.Text("hostPID"));
        Assert.Null(pod.At("hostNetwork"));
        Assert.Equal("privileged", Manifests.Single("Namespace").Root.Text("metadata", "labels", "pod-security.kubernetes.io/enforce"));
        Assert.Equal("RuntimeDefault", Manifests.Container().Text("securityContext", "seccompProfile", "type"));
        Assert.Equal("Unconfined", Manifests.Container().Text("securityContext", "appArmorProfile", "type"));
        Assert.Equal("spc_t", Manifests.Container().Text("securityContext", "seLinuxOptions", "type"));
        // Some providers require a quota for this priority class.
        var quota = Assert.Single(Manifests.Single("ResourceQuota").Root.At("spec", "scopeSelector", "matchExpressions").Items());
        Assert.Equal([pod.Text("priorityClassName")!], quota.At("values").Texts());
        Assert.Equal("Exists", Assert.Single(pod.At("tolerations").Items()).Text("operator"));
        // Unused privileges are not requested.
        var account = Manifests.Single("ServiceAccount");
        Assert.Equal(account.Name, pod.Text("serviceAccountName"));
        Assert.Equal("false", account.Root.Text("automountServiceAccountToken"));
    }

    [Fact]
    public void Privileges_AreNotGainedLaterAndMountsAreReadOnlyToTheBottom()
    {
        var security = Manifests.Container().At("securityContext")!;
        Assert.Equal("false", security.Text("allowPrivilegeEscalation"));
        // The API server's validation (ValidateSecurityContext) rejects it together with "CAP_SYS_ADMIN".
        Assert.All(security.At("capabilities", "add").Texts(), name => Assert.DoesNotContain("CAP_", name, StringComparison.Ordinal));
        Assert.Equal("yes", SystemdUnit.Read()["NoNewPrivileges"].Single());
        // The API server requires readOnly and no mount propagation with it.
        var cgroup = Manifests.Container().At("volumeMounts").Named("cgroup");
        Assert.Equal(("true", "IfPossible", null), (cgroup.Text("readOnly"), cgroup.Text("recursiveReadOnly"), cgroup.Text("mountPropagation")));
    }

    [Fact]
    public void Pod_HasTheVariablesOfItsNameAndTheEndOfTheLogInItsStatus()
    {
        var container = Manifests.Container();
        Assert.Equal("FallbackToLogsOnError", container.Text("terminationMessagePolicy"));
        var variables = container.At("env").Items().ToDictionary(variable => variable.Text("name")!, variable => variable.Text("valueFrom", "fieldRef", "fieldPath"));
        Assert.Equal(
            new() { ["NODE_NAME"] = "spec.nodeName", ["POD_NAME"] = "metadata.name", ["POD_NAMESPACE"] = "metadata.namespace", ["POD_UID"] = "metadata.uid" }, variables);
    }

    [Fact]
    public void NetworkPolicy_LetsNamedNamespacesReachTheOnePort()
    {
        var policy = Manifests.Single("NetworkPolicy").Root.At("spec")!;
        Assert.Equal(["Ingress"], policy.At("policyTypes").Texts());
        var rule = Assert.Single(policy.At("ingress").Items());
        var port = Assert.Single(rule.At("ports").Items());
        Assert.Equal((DefaultPort, "TCP", null), (port.Text("port"), port.Text("protocol"), port.Text("endPort")));
        // An empty selector would select every namespace.
        var labels = rule.At("from").Items().Select(from => Assert.Single(from.At("namespaceSelector", "matchLabels").Pairs())).ToDictionary();
        Assert.Equal("monitoring", labels["kubernetes.io/metadata.name"]);
        Assert.Equal("true", labels["keepalive-agent/clients"]);
        Assert.Contains("kubectl label namespace NAME keepalive-agent/clients=true", s_page, StringComparison.Ordinal);
    }

    [Fact]
    public void Labels_ThatSelect_AreThoseOfTheTemplate()
    {
        var template = Manifests.DaemonSet().At("spec", "template", "metadata", "labels").Pairs();
        foreach (var selector in new[]
        {
            Manifests.DaemonSet().At("spec", "selector", "matchLabels"),
            Manifests.Single("Service").Root.At("spec", "selector"),
            Manifests.Single("NetworkPolicy").Root.At("spec", "podSelector", "matchLabels"),
            Manifests.Single("PodMonitor").Root.At("spec", "selector", "matchLabels"),
        })
        {
            Assert.NotEmpty(selector.Pairs());
            Assert.All(selector.Pairs(), wanted => Assert.Equal(wanted.Value, template.GetValueOrDefault(wanted.Key)));
        }
        // The alerts use the job label, which the PodMonitor takes from this label.
        Assert.Equal("keepalive-agent", template[Manifests.Single("PodMonitor").Root.Text("spec", "jobLabel")!]);
    }

    [Fact]
    public void Mounts_AreWhatTheProgramReadsAndWrites()
    {
        var pod = Manifests.DaemonSet().At("spec", "template", "spec")!;
        var mounts = Manifests.Container().At("volumeMounts").Items().ToDictionary(m => m.Text("name")!, m => (Path: m.Text("mountPath"), ReadOnly: m.Text("readOnly")));
        Assert.Equal(pod.At("volumes").Items().Select(v => v.Text("name")!).Order(), mounts.Keys.Order());

        Assert.Equal((CommonOptions.DefaultStateDirectory, null), mounts["run"]);
        var run = pod.At("volumes").Named("run");
        Assert.Equal((CommonOptions.DefaultStateDirectory, "DirectoryOrCreate"), (run.Text("hostPath", "path"), run.Text("hostPath", "type")));
        Assert.Equal((CommonOptions.DefaultDataDirectory, null), mounts["data"]);
        var data = pod.At("volumes").Named("data");
        Assert.Equal((CommonOptions.DefaultDataDirectory, "DirectoryOrCreate"), (data.Text("hostPath", "path"), data.Text("hostPath", "type")));
        Assert.Equal(("/sys/fs/cgroup", "true"), mounts["cgroup"]);
        Assert.Equal("/sys/fs/cgroup", pod.At("volumes").Named("cgroup").Text("hostPath", "path"));

        var policies = Manifests.Container().At("args").Texts().Single(a => a.StartsWith("--policies=", StringComparison.Ordinal))["--policies=".Length..];
        Assert.Equal((policies, "true"), mounts["policies"]);
        var generated = Manifests.Read(Path.Combine(Manifests.Base, "kustomization.yaml")).Single().Root.At("configMapGenerator").Items().Select(map => map.Text("name"));
        Assert.Contains(pod.At("volumes").Named("policies").Text("configMap", "name"), generated);
    }

    [Fact]
    public void Image_HasTheNameAndTheVersionOfTheProgram()
    {
        Assert.Equal("keepalive-agent", Manifests.Container().Text("image"));
        var image = Assert.Single(Manifests.Read(Path.Combine(Manifests.Base, "kustomization.yaml")).Single().Root.At("images").Items());
        Assert.Equal("keepalive-agent", image.Text("name"));
        var version = typeof(RunCommand).Assembly.GetCustomAttribute<AssemblyFileVersionAttribute>()!.Version;
        Assert.Equal(Version.Parse(version).ToString(3), image.Text("newTag"));
        var sweep = Assert.Single(Manifests.Read(Path.Combine(Repository.Root, "deploy", "sweep", "kustomization.yaml")).Single().Root.At("images").Items());
        Assert.Equal(("keepalive-sim", image.Text("newTag")), (sweep.Text("name"), sweep.Text("newTag")));
        // The tag of both images, unless another is given, comes from there.
        Assert.Contains("deploy/daemonset/base/kustomization.yaml", File.ReadAllText(Path.Combine(Repository.Root, "scripts", "image")), StringComparison.Ordinal);
    }

    [Fact]
    public void ImageBuild_FilesOfDockerignore_ExistAndAreThoseOfTheDockerfile()
    {
        var seen = File.ReadLines(Path.Combine(Repository.Root, ".dockerignore")).Where(line => line.StartsWith('!')).Select(line => line[1..]).Order(StringComparer.Ordinal);
        // The programs may still be compiled.
        Assert.All(seen.Except(["out/keepalive-agent", "out/keepalive-sim"]), path => Assert.True(Path.Exists(Path.Combine(Repository.Root, path)), path));
        var copied = CopyInDockerfile().Matches(File.ReadAllText(Path.Combine(Repository.Root, "Dockerfile"))).SelectMany(match => match.Groups[1].Value.Split(' '));
        Assert.Equal(seen, copied.Distinct().Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Policies_AreCompiledWithoutAnErrorAndKeepConnectionsThroughTheBalancer()
    {
        var read = PolicyReader.Read([Path.Combine(Manifests.Base, "policies")]);
        var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions());
        var balancer = BalancerPresets.Find("aws-nlb")!;
        var (remarks, verdicts) = BalancerCheck.Check(compiled, [new(balancer)]);

        Assert.Equal(350, balancer.IdleTimeout);
        Assert.DoesNotContain(read.Diagnostics.Concat(compiled.Diagnostics).Concat(remarks), d => d.Severity >= Severity.Warning);
        Assert.Equal("bookinfo/tcp-keepalive", Assert.Single(verdicts).Policy);
        Assert.NotEmpty(compiled.Policy.Rules);
    }

    [Theory]
    [InlineData(".", 9)]
    [InlineData("overlays/audit", 9)]
    [InlineData("overlays/monitored", 12)]
    [InlineData("overlays/mesh", 11)]
    public void Kustomization_IsBuiltByKubectl(string directory, int objects)
    {
        var built = Command.Run(Tools.Kubectl, "kustomize", Path.Combine(Manifests.Directory, directory));
        var stream = new YamlStream();
        stream.Load(new StringReader(built.Output));

        Assert.Equal(objects, stream.Documents.Count);
        Assert.All(stream.Documents, document =>
        {
            var isOfCluster = document.RootNode.Text("kind") is "Namespace" or "ClusterRole" or "ClusterRoleBinding";
            Assert.True(!isOfCluster || document.RootNode.Text("metadata", "name") == "keepalive-agent");
            var isOfMesh = document.RootNode.Text("kind") is "Role" or "RoleBinding";
            Assert.Equal(isOfCluster ? null : isOfMesh ? "istio-system" : "keepalive-agent", document.RootNode.Text("metadata", "namespace"));
        });
        var bound = stream.Documents.Single(d => d.RootNode.Text("kind") == "ClusterRoleBinding").RootNode.At("subjects").Items().Single();
        Assert.Equal(("keepalive-agent", "keepalive-agent"), (bound.Text("name"), bound.Text("namespace")));
        var agent = stream.Documents.Single(d => d.RootNode.Text("kind") == "DaemonSet").RootNode.At("spec", "template", "spec", "containers").Items().Single();
        Assert.Matches(@"^keepalive-agent:\d+\.\d+\.\d+$", agent.Text("image"));
        Assert.Equal(directory == "overlays/audit", agent.At("args").Texts().Contains("--dry-run"));
        Assert.Equal(directory == "overlays/mesh", agent.At("args").Texts().Contains("--mesh-revisions"));
        var policies = stream.Documents.Single(d => d.RootNode.Text("metadata", "name") == "keepalive-policies").RootNode;
        Assert.Equal(File.ReadAllText(Path.Combine(Manifests.Base, "policies", "policy.yaml")), policies.Text("data", "policy.yaml"));
    }

    [Fact]
    public void OverlayOfThePage_IsBuiltByKubectl()
    {
        var text = OverlayInPage().Match(s_page).Groups[1].Value;
        var built = Build(text);
        Assert.Contains("image: registry.example.com/keepalive-agent:0.1.0\n", built, StringComparison.Ordinal);
        Assert.Contains("    kind: Mine\n", built, StringComparison.Ordinal);
        Assert.DoesNotContain("ConnectionPolicy", built, StringComparison.Ordinal);
        // The first stage reports only; without that line, the same overlay acts.
        Assert.Contains("- --dry-run\n", built, StringComparison.Ordinal);
        Assert.Contains("kind: PodMonitor\n", built, StringComparison.Ordinal);
        var acting = Build(string.Join('\n', text.Split('\n').Where(line => !line.Contains("components/audit", StringComparison.Ordinal))));
        Assert.DoesNotContain("--dry-run", acting, StringComparison.Ordinal);
        Assert.Contains("image: registry.example.com/keepalive-agent:0.1.0\n", acting, StringComparison.Ordinal);
    }

    /// <summary>Regression: the commands of the README applied an image that is in no registry.</summary>
    [Fact]
    public void OverlayOfTheReadme_HasItsImageAndChangesNothing()
    {
        var readme = File.ReadAllText(Path.Combine(Repository.Root, "README.md"));
        var built = Build(OverlayInPage().Match(readme).Groups[1].Value);
        Assert.Contains("image: registry.example.com/keepalive-agent:0.1.0\n", built, StringComparison.Ordinal);
        Assert.Contains("- --dry-run\n", built, StringComparison.Ordinal);
        Assert.DoesNotContain("kubectl apply -k deploy/", readme, StringComparison.Ordinal);
    }

    /// <summary>Regression: `kubectl kustomize … | keepalive-agent check -` passed with whatever policies.</summary>
    [Fact]
    public void OutputOfKustomize_Checked_HasThePoliciesOfTheConfigMap()
    {
        var whole = Command.Run(Tools.Kubectl, "kustomize", Manifests.Directory).Output;
        var read = PolicyReader.ReadText(whole, "-");
        Assert.Empty(read.Diagnostics.Where(diagnostic => diagnostic.Severity != Severity.Note));
        Assert.Equal(PolicyReader.Read([Path.Combine(Manifests.Base, "policies")]).Resources.All.Select(one => one.QualifiedName).Order(),
            read.Resources.All.Where(one => one.Kind is "ConnectionPolicy" or "VirtualDestination").Select(one => one.QualifiedName).Order());

        var broken = PolicyReader.ReadText(whole.Replace("tcpKeepalive:", "tcpKeepAlive:", StringComparison.Ordinal), "-");
        Assert.Contains(broken.Diagnostics, diagnostic => diagnostic.Severity == Severity.Error
            && diagnostic.Message.StartsWith("ConfigMap keepalive-agent/keepalive-policies, policy.yaml:", StringComparison.Ordinal));
    }

    /// <summary>A sidecar would be started before and stopped after the agent, and restart it with each version of the mesh.</summary>
    [Fact]
    public void Pod_HasNoSidecarInAMesh()
    {
        var metadata = Manifests.DaemonSet().At("spec", "template", "metadata")!;
        Assert.Equal("false", metadata.Text("labels", "sidecar.istio.io/inject"));
        Assert.Equal("disabled", metadata.Text("annotations", "linkerd.io/inject"));
    }

    /// <summary>Builds an overlay of a page. Its bases are in this repository; kubectl must not fetch them.</summary>
    private static string Build(string kustomization)
    {
        var directory = Directory.CreateTempSubdirectory("keepalive-overlay");
        try
        {
            var here = Path.GetRelativePath(directory.FullName, Manifests.Directory);
            File.WriteAllText(Path.Combine(directory.FullName, "kustomization.yaml"), Base().Replace(kustomization, match => $"- {here}{match.Groups[1].Value}"));
            File.WriteAllText(Path.Combine(directory.FullName, "policy.yaml"), "kind: Mine\n");
            return Command.Run(Tools.Kubectl, "kustomize", directory.FullName).Output;
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static bool IsForKustomize(Manifest manifest) => manifest.Root.Text("apiVersion")!.StartsWith("kustomize.config.k8s.io/", StringComparison.Ordinal);

    /// <summary>Applies a JSON patch (RFC 6902) to the container's arguments.</summary>
    private static IEnumerable<string> AddedArguments(string patch)
    {
        var stream = new YamlStream();
        stream.Load(new StringReader(patch));
        foreach (var step in stream.Documents[0].RootNode.Items())
        {
            Assert.Equal(("add", "/spec/template/spec/containers/0/args/-"), (step.Text("op"), step.Text("path")));
            yield return step.Text("value")!;
        }
    }

    [GeneratedRegex("```yaml\n(# kustomization.yaml\n.*?)```", RegexOptions.Singleline)]
    private static partial Regex OverlayInPage();

    [GeneratedRegex("^COPY (?!--)(\\S.*) \\S+$", RegexOptions.Multiline)]
    private static partial Regex CopyInDockerfile();

    [GeneratedRegex(@"^- \S*deploy/daemonset([^?\s]*).*$", RegexOptions.Multiline)]
    private static partial Regex Base();

    [GeneratedRegex("^\\| `([A-Z_]+)` \\|", RegexOptions.Multiline)]
    private static partial Regex TableOfCapabilities();
}
