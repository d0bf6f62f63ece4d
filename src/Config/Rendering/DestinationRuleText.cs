using System.Collections.Immutable;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Rendering;

/// <summary>Writes the Istio DestinationRules that ConnectionPolicies amount to, shaped as Gloo Mesh does it.</summary>
/// <remarks>
/// One for each host of each destination. Where the destination has ports, the settings stand under <c>portLevelSettings</c>. The name is 31
/// characters of what it is for, a dash, and 31 hex digits: the form Gloo gives such objects; but what Gloo hashes is not known, so that
/// the digits are our own (SHA-256 of kind, namespace, name and host).
/// </remarks>
public static class DestinationRuleText
{
    private const int HalfLength = 31;

    /// <summary>The documents, and a line for each destination that no DestinationRule can name.</summary>
    public static (string Text, ImmutableArray<string> LeftOut) Write(CompilationResult compiled)
    {
        ArgumentNullException.ThrowIfNull(compiled);
        var text = new StringBuilder();
        var leftOut = ImmutableArray.CreateBuilder<string>();
        var written = new HashSet<(string Kind, string Name, string Host)>();
        var byDestination = compiled.Selections.Where(static selection => selection.Policy is { Policy: ConnectionPolicy, From: null })
            .GroupBy<Selection, Destination>(static selection => selection.Destination, ReferenceEqualityComparer.Instance);
        foreach (var group in byDestination)
        {
            var (destination, selections) = (group.Key, group.ToList());
            var pools = PoolsOf(destination, selections);
            if (pools.Count == 0)
            {
                continue;
            }

            var hosts = destination.DialledHosts.Where(static host => !HostName.IsWildcard(host)).ToList();
            if (hosts.Count == 0)
            {
                leftOut.Add($"{destination.Kind} {destination.QualifiedName} has no host name, and a DestinationRule selects by host: write a ServiceEntry with a host name for its addresses");
            }

            // A Service of two clusters is one host all the same, and one rule.
            foreach (var host in hosts.Where(host => written.Add((destination.Kind, destination.QualifiedName, host))))
            {
                Write(text, destination, host, pools);
            }
        }

        leftOut.AddRange(compiled.Selections.Select(static selection => selection.Policy).Where(static policy => policy.From is not null).Distinct()
            .Select(static policy => $"{policy.Subject} is for connections from {policy.From}, and a DestinationRule selects clients of its own namespace only"));
        return (text.ToString(), leftOut.DrainToImmutable());
    }

    private static string NameOf(Destination destination, string host)
    {
        var kind = destination switch
        {
            VirtualDestination => "virtual-destination",
            ExternalService => "external-service",
            _ => "service",
        };
        var full = $"{HostName.Canonical(host)}-{kind}-{destination.Metadata.Namespace}-{destination.Metadata.Name.Value}".Replace('.', '-');
        var hash = Convert.ToHexStringLower(SHA256.HashData(
            Encoding.UTF8.GetBytes($"{destination.Kind}/{destination.QualifiedName}/{host}")));
        return $"{full[..Math.Min(full.Length, HalfLength)]}-{hash[..HalfLength]}";
    }

    /// <summary>The settings of each selected port, null being any: each from the strongest policy that has it.</summary>
    private static List<(DestinationPort? Port, Pool Pool)> PoolsOf(Destination destination, List<Selection> selections)
    {
        var pools = new List<(DestinationPort?, Pool)>();
        foreach (var port in destination.IsAnyPort ? [null] : destination.Ports.CastArray<DestinationPort?>())
        {
            List<ConnectionPolicy> policies =
                [.. selections.Where(selection => selection.Ports.Contains(port)).Select(static selection => (ConnectionPolicy)selection.Policy.Policy)];
            var pool = new Pool(policies);
            if (!pool.IsEmpty && !pools.Exists(pair => pair.Item1?.Number.Value == port?.Number.Value))
            {
                pools.Add((port, pool));
            }
        }

        return pools;
    }

    private static void Write(StringBuilder text, Destination destination, string host, List<(DestinationPort? Port, Pool Pool)> pools)
    {
        if (text.Length > 0)
        {
            text.Append("---\n");
        }

        foreach (var policy in pools.SelectMany(static pair => pair.Pool.Policies).Distinct())
        {
            text.Append(CultureInfo.InvariantCulture, $"# {ConnectionPolicy.KindName} {policy}, {destination.Kind} {destination.QualifiedName}\n");
        }

        text.Append("apiVersion: networking.istio.io/v1beta1\nkind: DestinationRule\nmetadata:\n");
        Line(text, 2, "name", NameOf(destination, host));
        Line(text, 2, "namespace", destination.Metadata.Namespace);
        WriteAnnotations(text, destination, pools);
        text.Append("spec:\n");
        Line(text, 2, "host", host);
        text.Append("  trafficPolicy:\n");
        foreach (var (_, pool) in pools.Where(static pair => pair.Port is null))
        {
            pool.Write(text, 4, "");
        }

        if (pools.Exists(static pair => pair.Port is not null))
        {
            text.Append("    portLevelSettings:\n");
        }

        foreach (var (port, pool) in pools.Where(static pair => pair.Port is not null))
        {
            pool.Write(text, 4, "- ");
            text.Append(CultureInfo.InvariantCulture, $"      port:\n        number: {port!.Number.Value}\n");
        }
    }

    private static void WriteAnnotations(StringBuilder text, Destination destination, List<(DestinationPort? Port, Pool Pool)> pools)
    {
        var addresses = destination.Metadata.Annotations.GetValueOrDefault(AgentAnnotations.Addresses).Value;
        var existing = pools.Select(static pair => pair.Pool.Existing).Distinct().ToList();
        var timeout = pools.Select(static pair => pair.Pool.UserTimeout).Distinct().ToList();
        if (addresses is null && existing is [null] or [_, _, ..] && timeout is [null] or [_, _, ..])
        {
            return;
        }

        text.Append("  annotations:\n");
        if (addresses is not null)
        {
            Line(text, 4, AgentAnnotations.Addresses, addresses);
        }

        if (existing is [{ } mode])
        {
            Line(text, 4, AgentAnnotations.Existing, mode);
        }

        if (timeout is [{ } choice])
        {
            Line(text, 4, AgentAnnotations.UserTimeout, choice);
        }
    }

    private static void Line(StringBuilder text, int indentation, string key, string value) =>
        text.Append(' ', indentation).Append(key).Append(": ").Append(Scalar(value)).Append('\n');

    /// <summary>A string as YAML; in quotes where it would be read as something else without.</summary>
    private static string Scalar(string value) =>
        value.Length > 0 && char.IsAsciiLetterOrDigit(value[0]) && value.All(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '/' or '_' or '-')
            && ScalarTypes.ResolvePlain(value) == ScalarType.String
            ? value
            : $"\"{value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";

    /// <summary>A <c>connectionPool</c>: each setting from the first of some policies that has it, the strongest being first.</summary>
    private sealed class Pool
    {
        private readonly List<(string Key, string Value)> _tcp = [];
        private readonly List<(string Key, string Value)> _http = [];
        private readonly List<(string Key, string Value)>? _keepalive;
        private readonly HashSet<string> _policies = [];

        public Pool(IReadOnlyList<ConnectionPolicy> from)
        {
            Add(_http, from, "http1MaxPendingRequests", static policy => policy.Http?.MaxPendingRequests);
            Add(_http, from, "http2MaxRequests", static policy => policy.Http?.MaxRequests);
            Add(_http, from, "idleTimeout", static policy => policy.Http?.IdleTimeout);
            Add(_http, from, "maxRequestsPerConnection", static policy => policy.Http?.MaxRequestsPerConnection);
            Add(_http, from, "maxRetries", static policy => policy.Http?.MaxRetries);
            Add(_tcp, from, "connectTimeout", static policy => policy.Tcp?.ConnectTimeout);
            Add(_tcp, from, "maxConnectionDuration", static policy => policy.Tcp?.MaxConnectionDuration);
            Add(_tcp, from, "maxConnections", static policy => policy.Tcp?.MaxConnections);
            if (from.FirstOrDefault(static policy => policy.Tcp?.TcpKeepalive is not null) is { } winner)
            {
                _policies.Add(winner.QualifiedName);
                Existing = winner.Metadata.Annotations.TryGetValue(AgentAnnotations.Existing, out var existing) ? existing.Value : null;
                UserTimeout = winner.Metadata.Annotations.TryGetValue(AgentAnnotations.UserTimeout, out var timeout) ? timeout.Value : null;
                var whole = winner.Tcp!.TcpKeepalive!;
                _keepalive =
                [
                    .. new[]
                    {
                        ("interval", whole.Interval is { } interval ? Scalar(interval.Value) : null),
                        ("probes", whole.Probes?.Value.ToString(CultureInfo.InvariantCulture)),
                        ("time", whole.Time is { } time ? Scalar(time.Value) : null),
                    }.Where(static pair => pair.Item2 is not null).Select(static pair => (pair.Item1, pair.Item2!)),
                ];
            }
        }

        public bool IsEmpty => _tcp.Count == 0 && _http.Count == 0 && _keepalive is null;

        /// <summary>The policies something was taken from.</summary>
        public IEnumerable<string> Policies => _policies;

        /// <summary>The existing mode of the policy that has the keepalive settings.</summary>
        public string? Existing { get; }

        /// <summary>The same for the user timeout.</summary>
        public string? UserTimeout { get; }

        public void Write(StringBuilder text, int indentation, string mark)
        {
            text.Append(' ', indentation).Append(mark).Append("connectionPool:\n");
            var inner = indentation + mark.Length + 2;
            if (_http.Count > 0)
            {
                text.Append(' ', inner).Append("http:\n");
                Write(text, inner + 2, _http);
            }

            if (_tcp.Count == 0 && _keepalive is null)
            {
                return;
            }

            text.Append(' ', inner).Append("tcp:\n");
            Write(text, inner + 2, _tcp);
            if (_keepalive is not null)
            {
                text.Append(' ', inner + 2).Append(_keepalive.Count == 0 ? "tcpKeepalive: {}\n" : "tcpKeepalive:\n");
                Write(text, inner + 4, _keepalive);
            }
        }

        private static void Write(StringBuilder text, int indentation, List<(string Key, string Value)> lines)
        {
            foreach (var (key, value) in lines)
            {
                text.Append(' ', indentation).Append(key).Append(": ").Append(value).Append('\n');
            }
        }

        private void Add(List<(string, string)> to, IReadOnlyList<ConnectionPolicy> from, string key, Func<ConnectionPolicy, Positioned<long>?> get) =>
            Add(to, from, key, policy => get(policy)?.Value.ToString(CultureInfo.InvariantCulture));

        private void Add(List<(string, string)> to, IReadOnlyList<ConnectionPolicy> from, string key, Func<ConnectionPolicy, Positioned<string>?> get) =>
            Add(to, from, key, policy => get(policy) is { } text ? Scalar(text.Value) : null);

        private void Add(List<(string, string)> to, IReadOnlyList<ConnectionPolicy> from, string key, Func<ConnectionPolicy, string?> get)
        {
            foreach (var policy in from)
            {
                if (get(policy) is { } value)
                {
                    _policies.Add(policy.QualifiedName);
                    to.Add((key, value));
                    return;
                }
            }
        }
    }
}
