using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Bpf;

/// <summary>libbpf itself: whether it is there, and what it has to say.</summary>
public static unsafe class BpfLibrary
{
    private static readonly Lock s_gate = new();
    private static readonly List<string> s_warnings = [];
    private static bool s_listening;

    /// <summary>The version of the library found, null where there is none.</summary>
    public static string? Version { get; } = FindVersion();

    /// <summary>Runs <paramref name="work"/> and gives the warnings that libbpf printed meanwhile, in one line.</summary>
    internal static T Listen<T>(Func<T> work, out string said)
    {
        lock (s_gate)
        {
            if (!s_listening)
            {
                BpfLibbpf.libbpf_set_print((delegate* unmanaged<int, byte*, void*, int>)&Print);
                s_listening = true;
            }
            s_warnings.Clear();
            var result = work();
            // The first warning names the cause, those after it what followed from it.
            said = s_warnings.Count == 0 ? "" : s_warnings[0].TrimEnd('.', '!');
            return result;
        }
    }

    private static string? FindVersion()
    {
        return NativeLibraries.CanCall(static () => BpfLibbpf.libbpf_version_string())
            ? Marshal.PtrToStringUTF8((nint)BpfLibbpf.libbpf_version_string())?.TrimStart('v')
            : null;
    }

    [UnmanagedCallersOnly]
    private static int Print(int level, byte* format, void* arguments)
    {
        if (level == 0)
        {
            var buffer = stackalloc byte[512];
            var length = Stdio.vsnprintf(buffer, 512, format, arguments);
            var text = Encoding.UTF8.GetString(buffer, Math.Clamp(length, 0, 511)).Trim();
            s_warnings.Add(text.Replace('\n', ' '));
        }
        return 0;
    }
}
