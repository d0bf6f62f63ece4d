using Keepalive.Agent.Apply.Bpf;

namespace Keepalive.Benchmarks;

/// <summary>Whether the bpf datapath can be measured on this machine.</summary>
internal static class BpfHere
{
    public static bool IsPossible => BpfRequirements.Missing() is null;

    /// <summary>The eBPF programs. Null where they are unavailable; the reason is printed.</summary>
    public static KernelPrograms? Load()
    {
        if (BpfRequirements.Missing() is { } missing)
        {
            Report.Line("bpf cannot be measured", missing);
            return null;
        }
        return KernelPrograms.Load();
    }
}
