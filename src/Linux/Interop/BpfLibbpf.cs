using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>bpf/libbpf.h: raw imports and layouts. Pointers are null, and numbers negative, on failure; errno says why (libbpf 1.0).</summary>
internal static unsafe partial class BpfLibbpf
{
    // 64-bit offsets; what is not named stays zero.
    [StructLayout(LayoutKind.Explicit, Size = 80)]
    internal struct bpf_object_open_opts
    {
        [FieldOffset(0)] internal nuint sz;
        [FieldOffset(8)] internal nint object_name;
        [FieldOffset(48)] internal nint btf_custom_path;
        [FieldOffset(56)] internal nint kernel_log_buf;
        [FieldOffset(64)] internal nuint kernel_log_size;
        [FieldOffset(72)] internal uint kernel_log_level;
    }

    [LibraryImport(NativeLibraries.Bpf)]
    internal static partial byte* libbpf_version_string();

    /// <summary>Returns the function in place before; null is silence.</summary>
    [LibraryImport(NativeLibraries.Bpf)]
    internal static partial void* libbpf_set_print(void* fn);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial void* bpf_object__open_mem(void* obj_buf, nuint obj_buf_sz, bpf_object_open_opts* opts);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_object__load(void* obj);

    [LibraryImport(NativeLibraries.Bpf)]
    internal static partial void bpf_object__close(void* obj);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial void* bpf_object__find_map_by_name(void* obj, byte* name);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial void* bpf_object__find_program_by_name(void* obj, byte* name);

    [LibraryImport(NativeLibraries.Bpf)]
    internal static partial int bpf_map__fd(void* map);

    /// <summary>Where a map of constants may be written before the object is loaded.</summary>
    [LibraryImport(NativeLibraries.Bpf)]
    internal static partial void* bpf_map__initial_value(void* map, nuint* psize);

    [LibraryImport(NativeLibraries.Bpf)]
    internal static partial int bpf_program__fd(void* prog);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial int bpf_program__set_autoload(void* prog, byte autoload);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial void* bpf_program__attach_cgroup(void* prog, int cgroup_fd);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial void* bpf_program__attach(void* prog);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial void* bpf_program__attach_iter(void* prog, void* opts);

    [LibraryImport(NativeLibraries.Bpf)]
    internal static partial int bpf_link__fd(void* link);

    [LibraryImport(NativeLibraries.Bpf)]
    internal static partial int bpf_link__destroy(void* link);

    [LibraryImport(NativeLibraries.Bpf, SetLastError = true)]
    internal static partial void* ring_buffer__new(int map_fd, void* sample_cb, void* ctx, void* opts);

    /// <summary>Number of samples read, or a negative errno; never waits.</summary>
    [LibraryImport(NativeLibraries.Bpf)]
    internal static partial int ring_buffer__consume(void* rb);

    [LibraryImport(NativeLibraries.Bpf)]
    internal static partial void ring_buffer__free(void* rb);
}
