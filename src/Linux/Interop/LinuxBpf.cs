using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>linux/bpf.h: constants and the heads of the structs this program reads.</summary>
internal static class LinuxBpf
{
    internal const int BPF_MAP_TYPE_LPM_TRIE = 11;
    internal const uint BPF_F_NO_PREALLOC = 1;
    internal const ulong BPF_ANY = 0;
    internal const int BPF_LINK_TYPE_CGROUP = 3;
    internal const int BPF_CGROUP_SOCK_OPS = 3;
    internal const int BPF_CGROUP_SETSOCKOPT = 22;
    internal const uint BPF_F_ALLOW_MULTI = 2;

    [InlineArray(16)]
    internal struct name16
    {
        private byte _0;
    }

    [InlineArray(2)]
    internal struct u64x2
    {
        private ulong _0;
    }

    [StructLayout(LayoutKind.Explicit, Size = 216)]
    internal struct bpf_prog_info
    {
        [FieldOffset(0)] internal uint type;
        [FieldOffset(4)] internal uint id;
        [FieldOffset(52)] internal uint nr_map_ids;
        [FieldOffset(56)] internal ulong map_ids;
        [FieldOffset(64)] internal name16 name;
        [FieldOffset(208)] internal ulong recursion_misses;
    }

    [StructLayout(LayoutKind.Explicit, Size = 40)]
    internal struct bpf_map_info
    {
        [FieldOffset(0)] internal uint type;
        [FieldOffset(4)] internal uint id;
        [FieldOffset(8)] internal uint key_size;
        [FieldOffset(12)] internal uint value_size;
        [FieldOffset(24)] internal name16 name;
    }

    [StructLayout(LayoutKind.Explicit, Size = 32)]
    internal struct bpf_link_info
    {
        [FieldOffset(0)] internal uint type;
        [FieldOffset(4)] internal uint id;
        [FieldOffset(8)] internal uint prog_id;
        /// <summary>Of a link to a cgroup: the cgroup's id, then the kind of attachment.</summary>
        [FieldOffset(16)] internal u64x2 cgroup;
    }
}
