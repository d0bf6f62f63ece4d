using System.Runtime.InteropServices;

namespace Keepalive.Linux;

/// <summary>A system call failed in a way that is not part of normal life.</summary>
public sealed class LinuxException : IOException
{
    public LinuxException(string call, int errno)
        : base($"{call}: {Keepalive.Linux.Errno.Name(errno)} ({Marshal.GetPInvokeErrorMessage(errno)})")
    {
        Call = call;
        Errno = errno;
    }

    /// <summary>The system call, as its man page names it.</summary>
    public string Call { get; }

    /// <summary>The error number it left behind.</summary>
    public int Errno { get; }

    internal static LinuxException Last(string call) => new(call, Marshal.GetLastPInvokeError());
}
