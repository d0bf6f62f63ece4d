using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Processes;

/// <summary>Memory that native libraries have allocated in this process.</summary>
public static class NativeHeap
{
    private static bool s_isMissing;

    /// <summary>Returns freed memory to the system: compiling filters and loading programs leaves megabytes behind in the allocator.</summary>
    /// <remarks>Does nothing where the C library cannot (musl).</remarks>
    public static void Trim()
    {
        if (s_isMissing)
        {
            return;
        }
        try
        {
            _ = Malloc.malloc_trim(0);
        }
        catch (EntryPointNotFoundException)
        {
            s_isMissing = true;
        }
    }
}
