using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Processes;

/// <summary>The kind of a path that may be a cgroup.</summary>
public enum CgroupPath
{
    Version2,

    /// <summary>A directory of a version 1 hierarchy, to which no program can be attached.</summary>
    Version1,

    /// <summary>A directory of some other file system.</summary>
    OtherDirectory,

    NotADirectory,

    Missing,

    /// <summary>It cannot be looked at.</summary>
    Refused,
}

/// <summary>Directories of the cgroup file systems (cgroups(7)).</summary>
public static unsafe class CgroupDirectory
{
    /// <summary>The kind of <paramref name="path"/>, by its file system.</summary>
    public static CgroupPath Look(string path)
    {
        SysVfs.statfs_t found;
        int result;
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            do
            {
                result = SysVfs.statfs(p, &found);
            }
            while (result < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
        }
        if (result < 0)
        {
            return Marshal.GetLastPInvokeError() switch
            {
                Errno.ENOENT => CgroupPath.Missing,
                Errno.ENOTDIR => CgroupPath.NotADirectory,
                _ => CgroupPath.Refused,
            };
        }
        return !Directory.Exists(path) ? CgroupPath.NotADirectory
            : (uint)found.f_type switch
            {
                SysVfs.CGROUP2_SUPER_MAGIC => CgroupPath.Version2,
                SysVfs.CGROUP_SUPER_MAGIC => CgroupPath.Version1,
                _ => CgroupPath.OtherDirectory,
            };
    }

    /// <summary>Returns the directory where the version 2 hierarchy is mounted; null if it is not mounted. On a hybrid node it has no
    /// controllers.</summary>
    public static string? Mount() => Mounts(" - cgroup2 ").FirstOrDefault();

    /// <summary>Whether a hierarchy of version 1 is mounted.</summary>
    public static bool HasVersion1() => Mounts(" - cgroup ").Count > 0;

    /// <summary>Lists the cgroups in a cgroup, each with its id; none if it is gone.</summary>
    /// <param name="path">Its directory.</param>
    /// <param name="into">Receives the cgroups. Its old content is removed.</param>
    public static void ListChildren(string path, List<(ulong Id, string Name)> into)
    {
        const int header = 19;   // struct linux_dirent64: d_ino, d_off, d_reclen, d_type, and the name
        const byte directory = 4;   // DT_DIR
        into.Clear();
        using var opened = FileDescriptor.TryOpen(path, Unistd.O_RDONLY, out _);
        if (opened is null)
        {
            return;
        }
        Span<byte> buffer = stackalloc byte[16 * 1024];
        fixed (byte* p = buffer)
        {
            int length;
            while ((length = (int)Dirent.getdents64(opened, p, (nuint)buffer.Length)) > 0)
            {
                for (var rest = buffer[..length]; rest.Length > header;)
                {
                    var entry = rest[..BinaryPrimitives.ReadUInt16LittleEndian(rest[16..])];
                    var name = entry[header..];
                    name = name[..name.IndexOf((byte)0)];
                    if (entry[18] == directory && !name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8))
                    {
                        into.Add((BinaryPrimitives.ReadUInt64LittleEndian(entry), Encoding.UTF8.GetString(name)));
                    }
                    rest = rest[entry.Length..];
                }
            }
        }
    }

    private static List<string> Mounts(string type)
    {
        try
        {
            return [.. File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains(type, StringComparison.Ordinal)).Select(line => line.Split(' ')[4])];
        }
        catch (IOException)
        {
            return [];   // no /proc: nothing is known to be mounted
        }
    }
}
