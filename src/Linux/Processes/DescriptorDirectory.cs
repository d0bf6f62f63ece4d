using System.Buffers.Binary;
using System.Buffers.Text;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Processes;

/// <summary>The open descriptors of one process: its directory /proc/PID/fd. It stays that process's if another one gets its id.</summary>
public sealed class DescriptorDirectory : IDisposable
{
    /// <summary>struct linux_dirent64: d_ino, d_off, d_reclen, d_type, and the name.</summary>
    private const int Header = 19;

    /// <summary>The longest entry: ten digits and a zero, rounded up.</summary>
    private const int Longest = 32;

    private readonly FileDescriptor _directory;

    private DescriptorDirectory(FileDescriptor directory) => _directory = directory;

    /// <summary>Opens the directory; null if the process is gone or it may not be read.</summary>
    public static DescriptorDirectory? TryOpen(int pid) =>
        FileDescriptor.TryOpen($"/proc/{pid}/fd", Unistd.O_RDONLY, out _) is { } directory ? new DescriptorDirectory(directory) : null;

    /// <summary>Lists the next open descriptors in order. The cost grows with their number, and hardly with the size of the table.</summary>
    /// <param name="from">The least number.</param>
    /// <param name="buffer">Room for the kernel's answer, 24 bytes a descriptor, 32 with very large numbers.</param>
    /// <param name="into">Its content is replaced by the numbers; none if there are no more, or the process is gone.</param>
    /// <returns>Whether these are all that are left.</returns>
    public unsafe bool List(int from, Span<byte> buffer, List<int> into)
    {
        into.Clear();
        // Positions are numbers behind "." and ".." (fs/proc/fd.c).
        if (Unistd.lseek(_directory, (long)from + 2, Unistd.SEEK_SET) < 0)
        {
            return true;
        }
        fixed (byte* p = buffer)
        {
            var length = Math.Max((int)Dirent.getdents64(_directory, p, (nuint)buffer.Length), 0);
            for (var rest = buffer[..length]; rest.Length > Header;)
            {
                var entry = rest[..BinaryPrimitives.ReadUInt16LittleEndian(rest[16..])];
                if (Utf8Parser.TryParse(entry[Header..], out int number, out _))
                {
                    into.Add(number);
                }
                rest = rest[entry.Length..];
            }
            return length <= buffer.Length - Longest;
        }
    }

    /// <summary>The same as <see cref="ProcFs.SocketInode(int, int)"/>, at less cost for many descriptors.</summary>
    public ulong? SocketInode(int number)
    {
        Span<byte> name = stackalloc byte[16];
        _ = Utf8Formatter.TryFormat(number, name, out _);   // zeros follow
        return ProcFs.SocketInode(_directory.Number, name);
    }

    public void Dispose() => _directory.Dispose();
}
