using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>sys/stat.h, linux/stat.h: raw imports, constants and the architecture-independent layout of statx(2).</summary>
internal static unsafe partial class SysStat
{
    internal const int AT_FDCWD = -100;
    internal const int AT_SYMLINK_NOFOLLOW = 0x100;
    internal const int AT_EMPTY_PATH = 0x1000;
    internal const int AT_STATX_DONT_SYNC = 0x4000;
    internal const uint STATX_TYPE = 1;
    internal const uint STATX_MODE = 2;
    internal const uint STATX_NLINK = 4;
    internal const uint STATX_UID = 8;
    internal const uint STATX_CTIME = 0x80;
    internal const uint STATX_INO = 0x100;
    internal const uint STATX_SIZE = 0x200;
    internal const int S_IFMT = 0xF000;
    internal const int S_IFIFO = 0x1000;
    internal const int S_IFDIR = 0x4000;
    internal const int S_IFREG = 0x8000;
    internal const int S_IFLNK = 0xA000;
    internal const int S_ISVTX = 0x200;
    internal const int S_IWGRP = 0x10;
    internal const int S_IWOTH = 2;
    internal const int S_IFSOCK = 0xC000;

    /// <summary>struct statx (linux/stat.h); the fields this program reads.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    internal struct statx_t
    {
        [FieldOffset(0)] internal uint stx_mask;
        [FieldOffset(16)] internal uint stx_nlink;
        [FieldOffset(20)] internal uint stx_uid;
        [FieldOffset(28)] internal ushort stx_mode;
        [FieldOffset(32)] internal ulong stx_ino;
        [FieldOffset(40)] internal ulong stx_size;
        [FieldOffset(96)] internal statx_timestamp_t stx_ctime;
        [FieldOffset(136)] internal uint stx_dev_major;
        [FieldOffset(140)] internal uint stx_dev_minor;
    }

    /// <summary>struct statx_timestamp.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 16)]
    internal struct statx_timestamp_t
    {
        [FieldOffset(0)] internal long tv_sec;
        [FieldOffset(8)] internal uint tv_nsec;
    }

    /// <summary>mkdir(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int mkdir(byte* pathname, uint mode);

    /// <summary>statx(2): 0, or -1 with errno.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int statx(int dirfd, byte* pathname, int flags, uint mask, statx_t* statxbuf);
}
