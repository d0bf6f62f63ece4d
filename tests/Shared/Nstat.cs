using System.Globalization;

namespace Keepalive.Testbed;

/// <summary>The kernel's own counters of a network namespace, under nstat's names (<c>TcpExtTCPKeepAlive</c>,
/// <c>TcpActiveOpens</c>).</summary>
internal static class Nstat
{
    /// <summary>Keepalive probes that the kernel has sent, without zero-window probes.</summary>
    public const string KeepaliveProbes = "TcpExtTCPKeepAlive";

    public static long Read(Holder inside, string name) => Read(inside.Pid, name);

    public static long Read(int pid, string name)
    {
        foreach (string file in new[] { "snmp", "netstat" })
        {
            // Pairs of lines: "Tcp: RtoAlgorithm RtoMin …" and "Tcp: 1 200 …".
            string[] lines = File.ReadAllLines($"/proc/{pid}/net/{file}");
            for (int i = 0; i + 1 < lines.Length; i += 2)
            {
                string[] names = lines[i].Split(' ');
                string prefix = names[0].TrimEnd(':');
                int column = name.StartsWith(prefix, StringComparison.Ordinal) ? Array.IndexOf(names, name[prefix.Length..]) : -1;
                if (column > 0)
                {
                    return long.Parse(lines[i + 1].Split(' ')[column], CultureInfo.InvariantCulture);
                }
            }
        }

        throw new ArgumentException($"the kernel has no counter {name}", nameof(name));
    }
}
