using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>bpf/bpf.h: raw imports and layouts. Numbers are negative on failure; errno says why (libbpf 1.0).</summary>
internal static unsafe partial class BpfBpf
{
    [StructLayout(LayoutKind.Sequential)]
    internal struct bpf_map_create_opts
    {
        internal nuint sz;
        internal uint btf_fd;
        internal uint btf_key_type_id;
        internal uint btf_value_type_id;
        internal uint btf_vmlinux_value_type_id;
        internal uint inner_map_fd;
        internal uint map_flags;
        internal ulong map_extra;
        internal uint numa_node;
        internal uint map_ifindex;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct bpf_test_run_opts
    {
        internal nuint sz;
        internal nint data_in;
        internal nint data_out;
        internal uint data_size_in;
        internal uint data_size_out;
        internal nint ctx_in;
        internal nint ctx_out;
        internal uint ctx_size_in;
        internal uint ctx_size_out;
        internal uint retval;
        internal int repeat;
        internal uint duration;
        internal uint flags;
        internal uint cpu;
        internal uint batch_size;
    }

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_map_create(
        int map_type, byte* map_name, uint key_size, uint value_size, uint max_entries, bpf_map_create_opts* opts);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_map_update_elem(int fd, void* key, void* value, ulong flags);

    /// <summary><paramref name="count"/> says, on return, how many were taken.</summary>
    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_map_update_batch(int fd, void* keys, void* values, uint* count, void* opts);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_map_lookup_elem(int fd, void* key, void* value);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_map_delete_elem(int fd, void* key);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_map_get_next_key(int fd, void* key, void* next_key);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_iter_create(int link_fd);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_prog_test_run_opts(int prog_fd, bpf_test_run_opts* opts);

    /// <summary>ENOENT after the last.</summary>
    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_link_get_next_id(uint start_id, uint* next_id);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_link_get_fd_by_id(uint id);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_prog_get_fd_by_id(uint id);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_map_get_fd_by_id(uint id);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_obj_get_info_by_fd(int bpf_fd, void* info, uint* info_len);

    /// <summary><paramref name="prog_cnt"/> says how many ids there is room for and, on return, how many programs there are (ENOSPC: more).</summary>
    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_prog_query(int target_fd, int type, uint query_flags, uint* attach_flags, uint* prog_ids, uint* prog_cnt);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_link_detach(int link_fd);
}
