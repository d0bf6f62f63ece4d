namespace Keepalive.Testbed;

/// <summary>Whether this machine and these privileges allow network namespaces, and whether the tools of the test bed are
/// installed.</summary>
internal static class LiveSupport
{
    private static readonly string[] s_alwaysNeeded = ["sh", "ip", "ss", "cc", "unshare", "nsenter", "setpriv"];
    private static readonly Lazy<string?> s_probed = new(Probe);

    /// <summary>The reason why live tests cannot run here, or null.</summary>
    public static string? Missing(params string[] tools) =>
        s_probed.Value ?? (tools.FirstOrDefault(tool => !Command.Exists(tool)) is { } tool ? $"{tool} is not installed" : null);

    private static string? Probe()
    {
        if (s_alwaysNeeded.FirstOrDefault(tool => !Command.Exists(tool)) is { } tool)
        {
            return $"{tool} is not installed";
        }

        if (!Environment.IsPrivilegedProcess)
        {
            return "live tests need root";
        }

        var result = Command.Try(["unshare", "--net", "--", "sh", "-c", "echo 7200 > /proc/sys/net/ipv4/tcp_keepalive_time && ip link set lo up"]);
        return result.ExitCode == 0 ? null : $"no network namespace can be made and set up here: {result.Error.Trim()}";
    }
}
