using System.Globalization;

namespace Keepalive.Testbed;

/// <summary>Two network namespaces joined by a veth pair, with an application in each. Their frames can be dropped.</summary>
/// <remarks>
/// <code>
///   Client  c0 ───────────────────── s0  Server
///   10.77.0.1, fd77::1               10.77.0.2, fd77::2, and what AddServerAddress adds
/// </code>
/// Every address is on-link with a permanent neighbour entry. Frames are lost by pointing that entry at a hardware address nobody has:
/// they leave, captures on the sending side see them, and the other side drops them as addressed to someone else. No ICMP, no carrier
/// loss, no failed neighbour lookup: exactly what a balancer that has forgotten a flow does. Needs neither netfilter nor netem.
/// </remarks>
internal sealed class Lab : IDisposable
{
    public const string ClientAddress = "10.77.0.1";
    public const string ClientAddress6 = "fd77::1";
    public const string ServerAddress = "10.77.0.2";
    public const string ServerAddress6 = "fd77::2";

    /// <summary>The server's IPv4 address for an IPv6 socket.</summary>
    public const string ServerAddressMapped = "::ffff:10.77.0.2";

    public const string ClientInterface = "c0";
    public const string ServerInterface = "s0";

    private const string ClientHardware = "02:00:00:00:00:01";
    private const string ServerHardware = "02:00:00:00:00:02";
    private const string NobodysHardware = "02:00:00:00:00:99";

    private readonly List<string> _serverAddresses = [ServerAddress, ServerAddress6];

    public Lab()
    {
        Client = Holder.StartInNewNamespace();
        try
        {
            Server = Holder.StartInNewNamespace();
            string link = string.Create(
                CultureInfo.InvariantCulture,
                $"link add {ClientInterface} address {ClientHardware} type veth peer name {ServerInterface} address {ServerHardware} netns {Server.Pid}");
            Client.Ip([link, .. Configure(ClientInterface, ClientAddress, ClientAddress6), .. TowardsServer(ServerHardware)]);
            Server.Ip([.. Configure(ServerInterface, ServerAddress, ServerAddress6), .. TowardsClient(ClientHardware)]);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The application with outgoing connections. Policies select these.</summary>
    public Holder Client { get; }

    public Holder Server { get; } = null!;

    /// <summary>Gives the server another address, reachable from the client.</summary>
    public void AddServerAddress(string address)
    {
        Server.Ip($"addr add {Prefix(address)} dev {ServerInterface} {NoDad(address)}");
        Client.Ip($"route add {Prefix(address)} dev {ClientInterface}", Neighbour(address, ServerHardware, ClientInterface));
        _serverAddresses.Add(address);
    }

    /// <summary>Joins the two by another veth pair and routes all traffic between their IPv4 addresses over it.</summary>
    public void MoveToNewLink(string clientLink, string serverLink)
    {
        Client.Run("ip", "link", "add", clientLink, "type", "veth", "peer", "name", serverLink, "netns", Server.Pid.ToString(CultureInfo.InvariantCulture));
        foreach (var (inside, link, to, own) in new[] { (Client, clientLink, ServerAddress, ClientAddress), (Server, serverLink, ClientAddress, ServerAddress) })
        {
            inside.Ip($"addr add {own}/32 dev {link}", $"link set {link} up", $"route add {to}/32 dev {link} src {own}");
        }
    }

    /// <summary>Drops everything from now on, in both directions, without an error to either side.</summary>
    public void BlackHole() => SetLoss(towardsServer: true, towardsClient: true);

    /// <summary>Drops the client's frames to one of the server's addresses from now on. The other addresses stay reachable.</summary>
    public void BlackHole(string serverAddress) => Client.Ip(Neighbour(serverAddress, NobodysHardware, ClientInterface));

    /// <summary>Delivers the client's frames and drops the server's.</summary>
    public void LoseReplies() => SetLoss(towardsServer: false, towardsClient: true);

    /// <summary>Delivers everything again.</summary>
    public void Restore() => SetLoss(towardsServer: false, towardsClient: false);

    public void Dispose()
    {
        Client.Dispose();
        Server?.Dispose();
    }

    private static string[] Configure(string link, string address, string address6) =>
        [$"addr add {address}/24 dev {link}", $"addr add {address6}/64 dev {link} nodad", $"link set {link} up"];

    private void SetLoss(bool towardsServer, bool towardsClient)
    {
        Client.Ip(TowardsServer(towardsServer ? NobodysHardware : ServerHardware));
        Server.Ip(TowardsClient(towardsClient ? NobodysHardware : ClientHardware));
    }

    /// <summary>Sets the hardware address for the client's frames to each of the server's addresses.</summary>
    private IEnumerable<string> TowardsServer(string hardware) => _serverAddresses.Select(address => Neighbour(address, hardware, ClientInterface));

    private static string[] TowardsClient(string hardware) =>
        [Neighbour(ClientAddress, hardware, ServerInterface), Neighbour(ClientAddress6, hardware, ServerInterface)];

    private static string Neighbour(string address, string hardware, string link) => $"neigh replace {address} lladdr {hardware} dev {link} nud permanent";

    private static string Prefix(string address) => address.Contains(':', StringComparison.Ordinal) ? $"{address}/128" : $"{address}/32";

    private static string NoDad(string address) => address.Contains(':', StringComparison.Ordinal) ? "nodad" : "";
}
