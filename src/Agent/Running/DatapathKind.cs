namespace Keepalive.Agent.Running;

/// <summary>What <c>--datapath</c> takes.</summary>
internal enum DatapathKind
{
    /// <summary>bpf where it can be had, else pidfd.</summary>
    Auto,

    Bpf,

    Pidfd,
}
