using System.Buffers;
using System.Collections.Immutable;
using System.Text.Json;
using Keepalive.Config;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Reads the cluster's objects once through <c>kubectl get -o json</c>, for commands on a laptop.</summary>
/// <remarks>Kinds that are not installed, or that the user may not read, are reported and skipped.</remarks>
internal sealed class KubectlObjects(Kubectl kubectl, Action<string> tell)
{
    /// <summary>The version of the kinds that every cluster has.</summary>
    private const string Core = "v1";

    /// <summary>The calls of kubectl at a time.</summary>
    private const int AtATime = 4;

    private static readonly ImmutableArray<string> s_gatewayVersions = ["v1", "v1beta1", "v1alpha3", "v1alpha2"];

    /// <summary>Kinds that the agent does not watch and <c>check</c> judges.</summary>
    private static readonly ImmutableArray<WatchedKind> s_ofProxies =
    [
        new(ProxyPolicy.BackendTrafficPolicy, "gateway.envoyproxy.io", ["v1alpha1"], "backendtrafficpolicies"),
        new(ProxyPolicy.ClientTrafficPolicy, "gateway.envoyproxy.io", ["v1alpha1"], "clienttrafficpolicies"),
        new(ProxyPolicy.BackendConfigPolicy, "gateway.kgateway.dev", ["v1alpha1"], "backendconfigpolicies"),
        new(ProxyPolicy.Upstream, "gloo.solo.io", ["v1"], "upstreams"),
        new(ProxyPolicy.EnvoyFilter, "networking.istio.io", ["v1alpha3"], "envoyfilters"),
        new(Gateway.KindName, "gateway.networking.k8s.io", ["v1", "v1beta1"], "gateways"),
        .. ((string[])["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"]).Select(static kind =>
            new WatchedKind(kind, "gateway.networking.k8s.io", s_gatewayVersions, $"{kind.ToLowerInvariant()}s")),
    ];

    private static readonly ImmutableArray<WatchedKind> s_kinds =
    [
        WatchedKind.ConnectionPolicies, WatchedKind.ListenerConnectionPolicies, WatchedKind.VirtualDestinations, WatchedKind.ExternalServices,
        WatchedKind.ExternalEndpoints, WatchedKind.VirtualGateways, WatchedKind.ServiceEntries, WatchedKind.WorkloadEntries, WatchedKind.Services,
        .. s_ofProxies,
    ];

    private readonly Lock _lock = new();
    private readonly List<Resource> _resources = [];
    private readonly List<Diagnostic> _diagnostics = [];
    private readonly SortedSet<string> _absent = new(StringComparer.Ordinal);
    private HashSet<string>? _versions;

    /// <summary>Reads policies, destinations and Services.</summary>
    /// <exception cref="IOException">kubectl failed for all kinds.</exception>
    public async Task<ReadResult> ReadAsync(CancellationToken stop)
    {
        var (end, output) = await kubectl.TextAsync(["api-versions"], stop, withTerminal: true).ConfigureAwait(false);
        if (end.ExitCode == 0)
        {
            _versions = [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)];
            if (!_versions.Contains(Core))
            {
                // Without this, every kind would count as not installed, and an empty cluster has no problems.
                throw new KubectlException($"kubectl cannot read the cluster: 'kubectl api-versions' did not print {Core}, which every cluster has");
            }
        }
        else if (!IsForbidden(end))
        {
            throw new KubectlException($"kubectl cannot read the cluster: {end.Reason}");
        }
        await ReadAllAsync(s_kinds, stop).ConfigureAwait(false);
        // As the agent does: DestinationRules are policies only where Gloo's kinds are not installed.
        if (_absent.Contains(WatchedKind.ConnectionPolicies.ToString()))
        {
            await ReadAllAsync([WatchedKind.DestinationRules, WatchedKind.MeshConfigs], stop).ConfigureAwait(false);
        }
        else
        {
            tell($"note: {WatchedKind.DestinationRules} are skipped: ConnectionPolicies are installed, and the agent reads only those (run --from auto)");
        }
        if (_absent.Count > 0)
        {
            tell($"note: not installed in this cluster, skipped: {string.Join(", ", _absent)}");
        }
        return Result();
    }

    /// <summary>Reads the endpoints of Services too.</summary>
    public async Task<ReadResult> WithEndpointsAsync(IReadOnlySet<(string Namespace, string Name)> services, CancellationToken stop)
    {
        if (services.Count > 0)
        {
            await ReadKindAsync(
                WatchedKind.EndpointSlices,
                resource => resource is not EndpointSlice slice || (slice.Service is { } service && services.Contains((slice.Metadata.Namespace, service))),
                stop).ConfigureAwait(false);
        }
        return Result();
    }

    private ReadResult Result() => new(new ResourceSet([.. _resources]), [.. _diagnostics]);

    private async Task ReadAllAsync(IEnumerable<WatchedKind> kinds, CancellationToken stop)
    {
        var all = kinds.ToList();
        var failures = new List<KubectlException>();
        await Parallel.ForEachAsync(all, new ParallelOptions { MaxDegreeOfParallelism = AtATime, CancellationToken = stop }, async (kind, token) =>
        {
            try
            {
                await ReadKindAsync(kind, static _ => true, token).ConfigureAwait(false);
            }
            catch (KubectlException e)
            {
                lock (_lock)
                {
                    failures.Add(e);
                }
            }
        }).ConfigureAwait(false);
        if (failures.Count > 0)
        {
            throw failures[0];
        }
    }

    private async Task ReadKindAsync(WatchedKind kind, Func<Resource, bool> isWanted, CancellationToken stop)
    {
        if (VersionOf(kind) is not { } version)
        {
            lock (_lock)
            {
                _absent.Add(kind.ToString());
            }
            return;
        }
        var name = kind.Group.Length == 0 ? kind.Plural : $"{kind.Plural}.{version}.{kind.Group}";
        string[] scope = kind == WatchedKind.MeshConfigs
            ? ["--namespace", MeshConfig.DefaultNamespace, "--field-selector", $"metadata.name={MeshConfig.ConfigMapName}"]
            : ["--all-namespaces"];
        var (resources, diagnostics) = (new List<Resource>(), new List<Diagnostic>());
        var end = await kubectl.RunAsync(
            ["get", name, .. scope, "--output", "json"],
            (output, token) => ReadListAsync(output, kind, version, isWanted, resources, diagnostics, token),
            stop).ConfigureAwait(false);
        if (end.ExitCode == 0)
        {
            lock (_lock)
            {
                _resources.AddRange(resources);
                _diagnostics.AddRange(diagnostics);
            }
        }
        else if (end.Error.Contains("doesn't have a resource type", StringComparison.Ordinal) || end.Error.Contains("could not find the requested resource", StringComparison.Ordinal))
        {
            lock (_lock)
            {
                _absent.Add(kind.ToString());
            }
        }
        else if (IsForbidden(end))
        {
            tell($"warning: {kind} are skipped: {end.Reason}");
        }
        else
        {
            throw new KubectlException($"kubectl cannot read {kind}: {end.Reason}");
        }
    }

    private async Task ReadListAsync(
        Stream output, WatchedKind kind, string version, Func<Resource, bool> isWanted, List<Resource> resources, List<Diagnostic> diagnostics, CancellationToken stop)
    {
        // The limits of silence are kubectl's.
        await using var list = new JsonStream(output, Timeout.InfiniteTimeSpan, TimeProvider.System, stop);
        await list.ReadListAsync(Take).ConfigureAwait(false);

        void Take(in ReadOnlySequence<byte> json)
        {
            ReadResult read;
            var source = kind.Kind;
            try
            {
                var head = ApiJson.Named(ApiJson.HeadOf(in json));
                source = $"{kind.Kind} {head.Namespace ?? "default"}/{head.Name}";
                read = PolicyReader.ReadObject(in json, kind.ApiVersion(version), kind.Kind, source, known: null).Read!;
            }
            catch (JsonException e)
            {
                tell($"warning: {TerminalText.Mask(source)} is skipped: {TerminalText.Mask(e.Message)}");
                return;
            }
            var wanted = read.Resources.All.Where(isWanted).ToList();
            resources.AddRange(wanted);
            if (wanted.Count > 0 || read.Resources.All.IsEmpty)
            {
                diagnostics.AddRange(read.Diagnostics);
            }
        }
    }

    private string? VersionOf(WatchedKind kind) =>
        _versions is not { } known ? kind.Versions[0] : kind.Versions.FirstOrDefault(version => known.Contains(kind.ApiVersion(version)));

    private static bool IsForbidden(KubectlEnd end) => end.Error.Contains("(Forbidden)", StringComparison.Ordinal) || end.Error.Contains("forbidden:", StringComparison.Ordinal);
}
