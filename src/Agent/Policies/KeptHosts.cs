using System.Net;
using System.Text;
using Keepalive.Linux.Files;

namespace Keepalive.Agent.Policies;

/// <summary>The addresses of hosts on disk, so that an agent that starts while names do not resolve knows those of the agent before.</summary>
/// <param name="directory">The data directory.</param>
internal sealed class KeptHosts(DataDirectory directory)
{
    /// <summary>The name of the file.</summary>
    public const string FileName = "hosts";

    /// <summary>The name and version of the format: lines <c>NAME ADDRESS[,ADDRESS …] [ADDRESS,…]</c>, the addresses of the last answer and the earlier ones.</summary>
    public const string Format = "keepalive-agent-hosts 1";

    private const int MaxSize = 8 * 1024 * 1024;

    private string? _written;

    /// <summary>Returns the hosts that the agent before knew. Lines that cannot be used are skipped: the hosts resolve again.</summary>
    public Dictionary<string, KnownHost> Read()
    {
        var hosts = new Dictionary<string, KnownHost>(StringComparer.OrdinalIgnoreCase);
        if (directory.Read(FileName, Format, MaxSize, out _) is not { } content)
        {
            return hosts;
        }
        _written = Encoding.UTF8.GetString(content.Span);
        foreach (var line in _written.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.Split(' ') is [var name, var current, var earlier] && Addresses(current, HostResolver.MaxAddresses) is { Count: > 0 } now
                && Addresses(earlier, HostResolver.MaxEarlier) is { } before)
            {
                hosts[name] = new KnownHost(now, before);
            }
        }
        return hosts;
    }

    /// <summary>Replaces the hosts on disk, if they have changed.</summary>
    public void Write(Dictionary<string, KnownHost> hosts)
    {
        var text = new StringBuilder();
        foreach (var (name, host) in hosts.OrderBy(static host => host.Key, StringComparer.Ordinal))
        {
            var line = $"{name} {string.Join(',', host.Current)} {string.Join(',', host.Earlier)}\n";
            // The rest resolves again.
            if (text.Length + line.Length <= MaxSize)
            {
                text.Append(line);
            }
        }
        var content = text.ToString();
        if (content != _written && directory.Write(FileName, Format, Encoding.UTF8.GetBytes(content)) is null)
        {
            _written = content;
        }
    }

    /// <summary>Returns null if the text is not a list of addresses.</summary>
    private static List<IPAddress>? Addresses(string text, int most)
    {
        var addresses = new List<IPAddress>();
        foreach (var word in text.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            if (addresses.Count == most || !IPAddress.TryParse(word, out var address))
            {
                return null;
            }
            addresses.Add(address);
        }
        return addresses;
    }
}
