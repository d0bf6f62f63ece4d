namespace Keepalive.Agent.Running;

/// <summary>The requested datapath, with its options.</summary>
/// <param name="Kind">The kind of datapath, or the best available one.</param>
/// <param name="Cgroup">The cgroup that bpf attaches its programs to; null for the root of the version 2 hierarchy.</param>
/// <param name="Namespaces">The only network namespaces to read; empty for all of the node.</param>
/// <param name="Attach">Whether new connections are to be set when they are established, too.</param>
internal sealed record DatapathRequest(DatapathKind Kind, string? Cgroup, IReadOnlyList<string> Namespaces, bool Attach);
