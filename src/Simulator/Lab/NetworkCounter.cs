using System.Globalization;

namespace Keepalive.Simulator.Lab;

/// <summary>A counter of a network namespace in /proc/PID/net/netstat.</summary>
internal static class NetworkCounter
{
    /// <summary>Keepalive probes sent (LINUX_MIB_TCPKEEPALIVE).</summary>
    public const string KeepaliveProbes = "TCPKeepAlive";

    /// <summary>Reads a TcpExt counter: the file has a line of names and then one of values, both of which begin with the group.</summary>
    public static long Parse(string netstat, string name)
    {
        var lines = netstat.Split('\n').Where(line => line.StartsWith("TcpExt: ", StringComparison.Ordinal)).Select(line => line.Split(' ')).ToArray();
        var column = lines.Length == 2 && lines[0].Length == lines[1].Length ? Array.IndexOf(lines[0], name) : -1;
        return column > 0
            ? long.Parse(lines[1][column], CultureInfo.InvariantCulture)
            : throw new FormatException($"no counter TcpExt {name}");
    }
}
