using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Bpf;

/// <summary>The attachment of a program. Disposing detaches it; so does the end of this process.</summary>
public sealed unsafe class BpfLink : SafeHandle
{
    internal BpfLink(void* link)
        : base(0, ownsHandle: true) => SetHandle((nint)link);

    public override bool IsInvalid => handle == 0;

    /// <summary>The id of the cgroup that it holds a program at; 0 when somebody has detached it, and when it was to none.</summary>
    /// <remarks>A cgroup that was removed keeps it until the last socket made there is closed.</remarks>
    public ulong Cgroup => IsClosed ? 0 : BpfCgroups.Of(Number);

    internal int Number => BpfLibbpf.bpf_link__fd((void*)handle);

    protected override bool ReleaseHandle() => BpfLibbpf.bpf_link__destroy((void*)handle) == 0;
}
