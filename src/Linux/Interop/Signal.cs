using System.Runtime.InteropServices;

namespace Keepalive.Linux.Interop;

/// <summary>signal.h: raw imports and constants.</summary>
internal static partial class Signal
{
    internal const int SIGSTOP = 19;

    /// <summary>raise(3): 0, or another number on failure.</summary>
    [LibraryImport("libc")]
    internal static partial int raise(int sig);
}
