using Keepalive.Config;
using Keepalive.Linux.Processes;

namespace Keepalive.Agent.Reports;

/// <summary>The command names of processes. Each process chooses its own (prctl(2), PR_SET_NAME), any bytes but a zero.</summary>
internal static class ProcessName
{
    /// <summary>The name, fit to print; null when the process has gone.</summary>
    public static string? Find(int pid) => ProcFs.Command(pid) is { } name ? TerminalText.Mask(name) : null;

    /// <summary>The name, fit to print, or <c>gone</c>.</summary>
    public static string Of(int pid) => Find(pid) ?? "gone";
}
