using System.Net;
using System.Net.Sockets;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Packets;

namespace Keepalive.Simulator.Lab;

/// <summary>A client side and a server side, each a network namespace, and the one between, through which every frame has to be carried.</summary>
/// <remarks>
/// <code>
///   client                        between                        server
///   c0 ────────── veth ───────── b0     b1 ───────── veth ────────── s0
///   10.0.0.1, fd00::1             └─ Forwarder ─┘                    203.0.113.10, 2001:db8::10
/// </code>
/// Addresses are of the private block and of those for documentation (RFC 1918, RFC 4193, RFC 5737, RFC 3849). Each side reaches the other's
/// block, so that there may be more of them, and nothing else: a name server is unreachable at once rather than after a timeout. The MTU is
/// 1500 all along; checksums and segmentation are left to nobody's offload.
/// </remarks>
internal sealed class LabNetwork : IDisposable
{
    public const string ClientLink = "c0";
    public const string ServerLink = "s0";
    public const string ClientBetween = "b0";
    public const string ServerBetween = "b1";

    private LabNetwork(LabSide client, LabSide server, NewNetworkNamespace between) => (Client, Server, Between) = (client, server, between);

    public static IPAddress ClientAddress { get; } = IPAddress.Parse("10.0.0.1");

    public static IPAddress ClientAddress6 { get; } = IPAddress.Parse("fd00::1");

    public static IPAddress ServerAddress { get; } = IPAddress.Parse("203.0.113.10");

    public static IPAddress ServerAddress6 { get; } = IPAddress.Parse("2001:db8::10");

    public LabSide Client { get; }

    public LabSide Server { get; }

    /// <summary>Where frames have to be carried.</summary>
    public NewNetworkNamespace Between { get; }

    /// <summary>Makes one. It goes away with this process.</summary>
    /// <exception cref="Keepalive.Linux.LinuxException">A namespace cannot be made or entered.</exception>
    /// <exception cref="LabException">A tool that sets it up failed.</exception>
    public static LabNetwork Create()
    {
        var made = new List<NewNetworkNamespace>();
        try
        {
            NewNetworkNamespace Make()
            {
                made.Add(NewNetworkNamespace.Create());
                return made[^1];
            }
            var network = new LabNetwork(new LabSide("client", Make()), new LabSide("server", Make()), Make());
            network.Join(ClientBetween, ClientLink, network.Client, ClientAddress, ClientAddress6, ["203.0.113.0/24", "2001:db8::/32"]);
            network.Join(ServerBetween, ServerLink, network.Server, ServerAddress, ServerAddress6, ["10.0.0.0/24", "fd00::/64"]);
            return network;
        }
        catch
        {
            made.ForEach(space => space.Dispose());
            throw;
        }
    }

    /// <summary>Opens the two interfaces that frames have to be carried between.</summary>
    public (PacketRing Client, PacketRing Server) Open() => Between.Run(() =>
    {
        var client = PacketRing.Open(ClientBetween);
        try
        {
            return (client, PacketRing.Open(ServerBetween));
        }
        catch
        {
            client.Dispose();
            throw;
        }
    });

    public void Dispose()
    {
        Client.Dispose();
        Server.Dispose();
        Between.Dispose();
    }

    private void Join(string between, string link, LabSide side, IPAddress address, IPAddress address6, string[] others)
    {
        var ip = Tool.Find(Tool.Ip);
        LabSide.RunShell(Between, $"""
            {ip} link add {between} arp off type veth peer name {link} netns {side.NamespacePath}
            if [ -d ipv6 ]; then echo 1 > ipv6/conf/{between}/disable_ipv6; fi
            """);
        side.RunShell($"""
            {ip} link set lo up
            {ip} address add {address}/32 dev {link}
            """);
        if (Socket.OSSupportsIPv6)
        {
            // A host where IPv6 is switched off by sysctl has it all the same: a new namespace can switch it on for itself.
            side.RunShell($"""
                echo 0 > ipv6/conf/lo/disable_ipv6
                echo 0 > ipv6/conf/{link}/disable_ipv6
                echo 0 > ipv6/conf/{link}/accept_ra
                echo 0 > ipv6/conf/{link}/accept_dad
                echo 0 > ipv6/conf/{link}/router_solicitations
                {ip} address add {address6}/128 dev {link} nodad
                """);
        }
        Between.Run(() => WithoutOffloads(between));
        side.Run(() => WithoutOffloads(link));
        LabSide.RunShell(Between, $"{ip} link set {between} up");
        side.RunShell($"""
            {ip} link set {link} up
            {ip} route add {others[0]} dev {link}
            {(Socket.OSSupportsIPv6 ? $"{ip} route add {others[1]} dev {link}" : "")}
            """);
    }

    private static bool WithoutOffloads(string link)
    {
        InterfaceOffloads.Disable(link);
        return true;
    }
}
