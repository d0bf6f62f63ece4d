namespace Keepalive.Agent.Running;

/// <summary>The values of <c>--datapath</c>.</summary>
internal enum DatapathKind
{
    /// <summary>bpf if available, else pidfd.</summary>
    Auto,

    Bpf,

    Pidfd,
}
