using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Processes;

namespace Keepalive.Linux.Bpf;

/// <summary>A program that is attached to a cgroup by a link.</summary>
/// <param name="Link">The link's id.</param>
/// <param name="Program">The program's name, at most 15 bytes.</param>
public readonly record struct CgroupAttachment(uint Link, string Program);

/// <summary>The programs that are attached to a cgroup, also those of others.</summary>
public static unsafe class BpfCgroups
{
    private const int MaxMaps = 64;

    // More than the kernel lets anybody attach to one cgroup (BPF_CGROUP_MAX_PROGS).
    private const int MaxPrograms = 64;

    /// <summary>Returns the directory where the version 2 hierarchy is mounted; null if it is not mounted. On a hybrid node it has no
    /// controllers.</summary>
    public static string? Mount() => CgroupDirectory.Mount();

    /// <summary>The links to exactly this cgroup.</summary>
    public static List<CgroupAttachment> Attached(string cgroup)
    {
        var found = new List<CgroupAttachment>();
        var wanted = ProcFs.Inode(cgroup);
        uint id = 0;
        while (wanted != 0 && BpfBpf.bpf_link_get_next_id(id, &id) == 0)
        {
            using var link = Open(BpfBpf.bpf_link_get_fd_by_id(id));
            if (link is not null && TryInfo<LinuxBpf.bpf_link_info>(link, out var info) && info.type == LinuxBpf.BPF_LINK_TYPE_CGROUP
                && info.cgroup[0] == wanted && Program(info.prog_id) is { } name)
            {
                found.Add(new CgroupAttachment(id, name));
            }
        }
        return found;
    }

    /// <summary>The id of the cgroup that a link is to; 0 for none.</summary>
    internal static ulong Of(int link) =>
        TryInfo<LinuxBpf.bpf_link_info>(link, out var info) && info.type == LinuxBpf.BPF_LINK_TYPE_CGROUP ? info.cgroup[0] : 0;

    /// <summary>Returns a program at the cgroup or above it that does not allow a second one of its kind, because it was attached without
    /// BPF_F_ALLOW_MULTI. Only the kinds that this product attaches count. Null if there is no such program, or none is visible.</summary>
    /// <remarks>If that program is at the cgroup itself, the kernel refuses the second one. If it is above and was attached with
    /// BPF_F_ALLOW_OVERRIDE, the kernel would silently stop running it (kernel/bpf/cgroup.c, hierarchy_allows_attach and
    /// compute_effective_progs).</remarks>
    public static (string Program, string Cgroup)? Unyielding(string cgroup)
    {
        foreach (var kind in (ReadOnlySpan<int>)[LinuxBpf.BPF_CGROUP_SOCK_OPS, LinuxBpf.BPF_CGROUP_SETSOCKOPT])
        {
            for (var at = Path.GetFullPath(cgroup); at is not null && CgroupDirectory.Look(at) == CgroupPath.Version2; at = Path.GetDirectoryName(at))
            {
                var (flags, count, first) = Programs(at, kind);
                if (count > 0 && (flags & LinuxBpf.BPF_F_ALLOW_MULTI) == 0)
                {
                    return (Program(first) is { Length: > 0 } name ? name : $"number {first}", at);
                }
                if (count > 0)
                {
                    break;   // programs of parents that exclude others are handled already
                }
            }
        }
        return null;
    }

    /// <summary>Detaches a link, also that of another process; false if the kernel refuses or it is gone.</summary>
    public static bool TryDetach(uint linkId)
    {
        using var link = Open(BpfBpf.bpf_link_get_fd_by_id(linkId));
        return link is not null && BpfBpf.bpf_link_detach(link.Number) == 0;
    }

    /// <summary>Reads the only entry of a map that a link's program uses; false where it uses no such map.</summary>
    public static bool TryRead<TValue>(uint linkId, string map, out TValue value)
        where TValue : unmanaged
    {
        value = default;
        using var link = Open(BpfBpf.bpf_link_get_fd_by_id(linkId));
        if (link is null || !TryInfo<LinuxBpf.bpf_link_info>(link, out var info))
        {
            return false;
        }
        using var program = Open(BpfBpf.bpf_prog_get_fd_by_id(info.prog_id));
        if (program is null)
        {
            return false;
        }
        var ids = stackalloc uint[MaxMaps];
        var about = new LinuxBpf.bpf_prog_info { nr_map_ids = MaxMaps, map_ids = (ulong)(nuint)ids };
        var length = (uint)sizeof(LinuxBpf.bpf_prog_info);
        if (BpfBpf.bpf_obj_get_info_by_fd(program.Number, &about, &length) < 0)
        {
            return false;
        }
        for (var i = 0; i < Math.Min(about.nr_map_ids, MaxMaps); i++)
        {
            using var candidate = Open(BpfBpf.bpf_map_get_fd_by_id(ids[i]));
            if (candidate is not null && TryInfo<LinuxBpf.bpf_map_info>(candidate, out var mapInfo) && Name(mapInfo.name) == map
                && mapInfo.value_size == sizeof(TValue))
            {
                uint key = 0;
                TValue read;
                if (BpfBpf.bpf_map_lookup_elem(candidate.Number, &key, &read) == 0)
                {
                    value = read;
                    return true;
                }
            }
        }
        return false;
    }

    /// <summary>How often a program was left out because it was running on that processor already.</summary>
    internal static ulong Misses(int program) => TryInfo<LinuxBpf.bpf_prog_info>(program, out var info) ? info.recursion_misses : 0;

    private static string? Program(uint id)
    {
        using var program = Open(BpfBpf.bpf_prog_get_fd_by_id(id));
        return program is not null && TryInfo<LinuxBpf.bpf_prog_info>(program, out var info) ? Name(info.name) : null;
    }

    private static (uint Flags, uint Count, uint First) Programs(string cgroup, int kind)
    {
        using var directory = FileDescriptor.TryOpen(cgroup, Unistd.O_RDONLY, out _);
        var ids = stackalloc uint[MaxPrograms];
        uint flags = 0, count = MaxPrograms;
        return directory is not null && BpfBpf.bpf_prog_query(directory.Number, kind, 0, &flags, ids, &count) == 0 ? (flags, count, ids[0]) : default;
    }

    private static FileDescriptor? Open(int fd) => fd < 0 ? null : new FileDescriptor(fd);

    private static bool TryInfo<TInfo>(FileDescriptor descriptor, out TInfo info)
        where TInfo : unmanaged => TryInfo(descriptor.Number, out info);

    private static bool TryInfo<TInfo>(int descriptor, out TInfo info)
        where TInfo : unmanaged
    {
        TInfo read = default;
        var length = (uint)sizeof(TInfo);
        var result = BpfBpf.bpf_obj_get_info_by_fd(descriptor, &read, &length);
        info = read;
        return result == 0;
    }

    private static string Name(LinuxBpf.name16 name)
    {
        var bytes = MemoryMarshal.CreateReadOnlySpan(ref Unsafe.As<LinuxBpf.name16, byte>(ref name), 16);
        var end = bytes.IndexOf((byte)0);
        return Encoding.ASCII.GetString(end < 0 ? bytes : bytes[..end]);
    }
}
