namespace Keepalive.Agent.Running;

/// <summary>Which datapath is wanted.</summary>
/// <param name="Kind">Which one, or the better one that is available.</param>
/// <param name="Cgroup">Where bpf attaches its programs; null is the root of the version 2 hierarchy.</param>
/// <param name="Namespaces">The only network namespaces to look at; empty for all of the node.</param>
/// <param name="MostNamespaces">Network namespaces that are held at a time.</param>
internal sealed record DatapathRequest(DatapathKind Kind, string? Cgroup, IReadOnlyList<string> Namespaces, int MostNamespaces);
