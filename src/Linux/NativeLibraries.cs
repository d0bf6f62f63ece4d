using System.Reflection;
using System.Runtime.InteropServices;

namespace Keepalive.Linux;

/// <summary>Finds the libraries that a system may lack, or has under one of several names.</summary>
public static unsafe class NativeLibraries
{
    /// <summary>The name by which imports ask for libpcap. Debian and Ubuntu have kept the soname of its version 0.8.</summary>
    internal const string Pcap = "libpcap";

    /// <summary>The name by which imports ask for libbpf. Debian: libbpf1.</summary>
    internal const string Bpf = "libbpf.so.1";

    private static readonly Dictionary<string, string[]> s_sonames = new() { [Pcap] = ["libpcap.so.0.8", "libpcap.so.1"] };

    /// <summary>Whether OpenSSL is there, which the runtime loads when TLS is first used; without it the runtime ends the process.</summary>
    public static bool HasTls => Array.Exists(s_tlsSonames, static soname => NativeLibrary.TryLoad(soname, out _));

    // The versions that .NET 10 takes, newest first (System.Security.Cryptography.Native/opensslshim.c); older ones cannot speak TLS 1.3.
    private static readonly string[] s_tlsSonames = ["libssl.so.3", "libssl.so.1.1"];

    private static readonly Lazy<bool> s_registered = new(() =>
    {
        NativeLibrary.SetDllImportResolver(typeof(NativeLibraries).Assembly, Resolve);
        return true;
    });

    /// <summary>To be called before the first import by one of these names.</summary>
    internal static void Register() => _ = s_registered.Value;

    /// <summary>Whether a call of a library's version function finds the library. Correct for shared and for static libraries.</summary>
    internal static bool CanCall(VersionCall call)
    {
        try
        {
            return call() != null;
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            return false;
        }
    }

    /// <summary>A library's version function; returns a static string.</summary>
    internal delegate byte* VersionCall();

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        if (s_sonames.TryGetValue(name, out var sonames))
        {
            foreach (var soname in sonames)
            {
                if (NativeLibrary.TryLoad(soname, out var library))
                {
                    return library;
                }
            }
        }
        return 0;   // as if there were no resolver
    }
}
