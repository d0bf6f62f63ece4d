using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Reports;

/// <summary>Says in words what a record means, for logs and for <c>run --once</c>.</summary>
internal static class SocketText
{
    /// <summary><c>10.0.0.1:40000 → 10.0.0.2:443 (pid 123 curl) of pod shop/cart-7d9f/app</c>.</summary>
    /// <param name="record">The socket.</param>
    /// <param name="pods">Tells whose it is; null where there is no cluster.</param>
    public static string Name(in SocketRecord record, PodDirectory? pods = null)
    {
        var owner = record.Pid == 0 ? "" : $" (pid {record.Pid} {ProcessName.Of(record.Pid)})";
        return $"{record.Local} → {record.Remote}{owner}{Workload.OfPod(pods?.Find(in record))}";
    }

    /// <summary>Old and new values, only those that differ: <c>keepalive off → on, time 7200s → 700s</c>. Empty if the record has no
    /// change.</summary>
    public static string Change(in SocketRecord record)
    {
        if (record is not { Replaced: { } from, Current: { } to })
        {
            return "";
        }
        var parts = Changes(from, to);
        if (record.ReplacedUserTimeout is { } before)
        {
            parts.Add($"user timeout {Timeout(before)} → {Timeout(record.UserTimeout)}");
        }
        return string.Join(", ", parts);
    }

    /// <inheritdoc cref="Change(in SocketRecord)"/>
    public static string Change(KeepaliveOptions from, KeepaliveOptions to) => string.Join(", ", Changes(from, to));

    private static List<string> Changes(KeepaliveOptions from, KeepaliveOptions to)
    {
        var parts = new List<string>(5);
        if (from.Enabled != to.Enabled)
        {
            parts.Add($"keepalive {OnOff(from)} → {OnOff(to)}");
        }
        if (from.Time != to.Time)
        {
            parts.Add($"time {from.Time}s → {to.Time}s");
        }
        if (from.Interval != to.Interval)
        {
            parts.Add($"interval {from.Interval}s → {to.Interval}s");
        }
        if (from.Probes != to.Probes)
        {
            parts.Add($"probes {from.Probes} → {to.Probes}");
        }
        return parts;
    }

    /// <summary>The rule and where it comes from, or why there is none.</summary>
    public static string Rule(in SocketRecord record, string? without = null) =>
        record.Rule is { } rule ? $"policy {rule.Policy}, destination {rule.Destination}" : without ?? "no policy selects it any more";

    private static string Timeout(int milliseconds) => milliseconds == 0 ? "none" : UserTimeout.Format(milliseconds);

    private static string OnOff(KeepaliveOptions options) => options.Enabled ? "on" : "off";
}
