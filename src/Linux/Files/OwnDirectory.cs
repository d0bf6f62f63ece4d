using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Files;

/// <summary>A directory in which only root and this process's user can create, replace or remove entries.</summary>
/// <remarks>The path is resolved here and not by the kernel: a user who may write to a directory on the way decides where the rest of the path
/// leads. Of directories with the sticky bit (/tmp) only the entries of root and this user are followed.</remarks>
public static class OwnDirectory
{
    private const int MaxLinks = 40;   // as path_resolution(7)
    private const int WritableByOthers = SysStat.S_IWGRP | SysStat.S_IWOTH;

    /// <summary>The owner that files have here whose real owner this user namespace cannot name.</summary>
    private static readonly Lazy<uint?> s_unnamed = new(FindUnnamed);

    /// <summary>Why the directory cannot be used; null if it can, if it does not exist yet, or if it cannot be examined.</summary>
    public static string? Problem(string path)
    {
        try
        {
            return Resolve(path, create: false);
        }
        catch (LinuxException)
        {
            return null;
        }
    }

    /// <summary>Creates the directory and its parents (mode 0755) as far as they are missing.</summary>
    /// <exception cref="UntrustedFileException">Somebody else can write to it or to a directory on the way.</exception>
    /// <exception cref="LinuxException">It cannot be created.</exception>
    public static void Create(string path)
    {
        if (Resolve(path, create: true) is { } problem)
        {
            throw new UntrustedFileException(problem);
        }
    }

    /// <summary>Whether files of this owner are root's or this user's.</summary>
    internal static bool IsOwn(uint owner) => owner == 0 || owner == Unistd.geteuid() || owner == s_unnamed.Value;

    private static string? Resolve(string path, bool create)
    {
        var words = new Stack<string>(Words(Path.GetFullPath(path)));
        var (at, links) = ("/", 0);
        var status = Status("/")!.Value;
        while (words.TryPop(out var word))
        {
            // The resolved part has no links in it: its parent is the one in its name.
            var next = word == ".." ? Path.GetDirectoryName(at) ?? "/" : Path.Combine(at, word);
            if (NotToBeFollowed(at, status) is { } problem)
            {
                return problem;
            }
            if (Status(next) is not { } found)
            {
                if (!create)
                {
                    return null;
                }
                Make(next);
                found = Status(next) ?? throw new LinuxException($"statx {next}", Errno.ENOENT);
            }
            if ((found.stx_mode & SysStat.S_IFMT) == SysStat.S_IFLNK)
            {
                if (!IsOwn(found.stx_uid) || words.Count == 0 || ++links > MaxLinks)
                {
                    return words.Count == 0 ? $"{next} is a symbolic link" : $"{next} is a symbolic link of {Owner(found.stx_uid)}";
                }
                var target = Target(next);
                foreach (var part in Words(target))
                {
                    words.Push(part);
                }
                (at, status) = target.StartsWith('/') ? ("/", Status("/")!.Value) : (at, status);
                continue;
            }
            if ((found.stx_mode & SysStat.S_IFMT) != SysStat.S_IFDIR)
            {
                return $"{next} is not a directory";
            }
            (at, status) = (next, found);
        }
        return !IsOwn(status.stx_uid) ? $"{at} belongs to {Owner(status.stx_uid)}"
            : (status.stx_mode & WritableByOthers) != 0 ? $"{at} is writable by others (mode {Mode(status)}; chmod go-w {at})"
            : null;
    }

    /// <summary>Why names in a directory on the way mean nothing.</summary>
    private static string? NotToBeFollowed(string directory, in SysStat.statx_t status) =>
        !IsOwn(status.stx_uid) ? $"{directory} belongs to {Owner(status.stx_uid)}"
        : (status.stx_mode & WritableByOthers) != 0 && (status.stx_mode & SysStat.S_ISVTX) == 0
            ? $"{directory} is writable by others (mode {Mode(status)})"
            : null;

    private static string Owner(uint user) => string.Create(CultureInfo.InvariantCulture, $"another user (uid {user})");

    private static string Mode(in SysStat.statx_t status) => Convert.ToString(status.stx_mode & 0xFFF, 8).PadLeft(4, '0');

    /// <summary>The parts of a path, the last one first.</summary>
    private static IEnumerable<string> Words(string path) => path.Split('/', StringSplitOptions.RemoveEmptyEntries).Where(word => word != ".").Reverse();

    private static SysStat.statx_t? Status(string path)
    {
        var errno = TryStatus(path, out var status);
        return errno switch
        {
            0 => status,
            Errno.ENOENT => null,
            _ => throw new LinuxException($"statx {path}", errno),
        };
    }

    private static unsafe int TryStatus(string path, out SysStat.statx_t status)
    {
        SysStat.statx_t result = default;
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            const uint mask = SysStat.STATX_TYPE | SysStat.STATX_MODE | SysStat.STATX_UID;
            var failed = SysStat.statx(SysStat.AT_FDCWD, p, SysStat.AT_SYMLINK_NOFOLLOW, mask, &result) < 0;
            status = result;
            return failed ? Marshal.GetLastPInvokeError() : 0;
        }
    }

    private static unsafe void Make(string path)
    {
        fixed (byte* p = Encoding.UTF8.GetBytes(path + '\0'))
        {
            // One that exists by now is looked at like any other.
            if (SysStat.mkdir(p, 0b111_101_101) < 0 && Marshal.GetLastPInvokeError() is not Errno.EEXIST and var errno)
            {
                throw new LinuxException($"mkdir {path}", errno);
            }
        }
    }

    private static unsafe string Target(string link)
    {
        Span<byte> target = stackalloc byte[4096];
        fixed (byte* p = Encoding.UTF8.GetBytes(link + '\0'), into = target)
        {
            var length = Unistd.readlink(p, into, (nuint)target.Length);
            return length >= 0 ? Encoding.UTF8.GetString(target[..(int)length]) : throw LinuxException.Last($"readlink {link}");
        }
    }

    /// <remarks>In a user namespace that lacks it, files of users outside show this owner (user_namespaces(7)): root's among them.</remarks>
    private static uint? FindUnnamed()
    {
        try
        {
            var unnamed = uint.Parse(File.ReadAllText("/proc/sys/kernel/overflowuid"), CultureInfo.InvariantCulture);
            var isMapped = File.ReadLines("/proc/self/uid_map")
                .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(word => ulong.Parse(word, CultureInfo.InvariantCulture)).ToArray())
                .Any(range => range[0] <= unnamed && unnamed < range[0] + range[2]);
            return isMapped ? null : unnamed;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return null;
        }
    }
}
