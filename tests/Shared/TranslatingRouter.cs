using System.Globalization;

namespace Keepalive.Testbed;

/// <summary>A client, a router that translates a virtual address to one of three backends as kube-proxy does, and the namespace of the
/// backends.</summary>
/// <remarks>
/// <code>
///   Client  c0 ──────── r0  Router  r1 ──────── s0  Server
///   10.79.1.1, fd79:1::1    nftables             10.79.2.2 to .4, fd79:2::2 to ::4
/// </code>
/// </remarks>
internal sealed class TranslatingRouter : IDisposable
{
    public const string ServiceAddress = "10.96.0.10";
    public const string ServiceAddress6 = "fd96::10";

    /// <summary>The port of the virtual addresses.</summary>
    public const int ServicePort = 443;

    public static readonly string[] Backends = ["10.79.2.2", "10.79.2.3", "10.79.2.4"];
    public static readonly string[] Backends6 = ["fd79:2::2", "fd79:2::3", "fd79:2::4"];

    private readonly List<Holder> _holders = [];

    public TranslatingRouter()
    {
        try
        {
            (Client, Router, Server) = (Start(), Start(), Start());
            Join(Client, "c0", "1::1", "10.79.1.1", "r0", "1::254", "10.79.1.254");
            Join(Server, "s0", "2::2", "10.79.2.2", "r1", "2::254", "10.79.2.254");
            Server.Ip([.. Backends[1..].Select(address => $"addr add {address}/24 dev s0"), .. Backends6[1..].Select(address => $"addr add {address}/64 dev s0 nodad")]);
            Port = Server.Listen();
            Router.Shell("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
            string rules = string.Create(CultureInfo.InvariantCulture, $$"""
                table ip services {
                  chain before {
                    type nat hook prerouting priority dstnat;
                    ip daddr {{ServiceAddress}} tcp dport {{ServicePort}} dnat to numgen inc mod 3 map { 0 : {{Backends[0]}}, 1 : {{Backends[1]}}, 2 : {{Backends[2]}} } : {{Port}}
                  }
                }
                table ip6 services {
                  chain before {
                    type nat hook prerouting priority dstnat;
                    ip6 daddr {{ServiceAddress6}} tcp dport {{ServicePort}} dnat to numgen inc mod 3 map { 0 : {{Backends6[0]}}, 1 : {{Backends6[1]}}, 2 : {{Backends6[2]}} } : {{Port}}
                  }
                }
                """);
            Router.Shell($"nft -f - <<'.'\n{rules}\n.");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public Holder Client { get; } = null!;

    public Holder Router { get; } = null!;

    public Holder Server { get; } = null!;

    /// <summary>The port that the backends listen on.</summary>
    public int Port { get; }

    public void Dispose() => _holders.ForEach(holder => holder.Dispose());

    private Holder Start()
    {
        var holder = Holder.StartInNewNamespace();
        _holders.Add(holder);
        return holder;
    }

    private void Join(Holder end, string link, string address6, string address, string routers, string routers6, string routersAddress)
    {
        end.Ip(string.Create(CultureInfo.InvariantCulture, $"link add {link} type veth peer name {routers} netns {Router.Pid}"));
        Router.Ip($"addr add {routersAddress}/24 dev {routers}", $"addr add fd79:{routers6}/64 dev {routers} nodad", $"link set {routers} up");
        end.Ip(
            $"addr add {address}/24 dev {link}", $"addr add fd79:{address6}/64 dev {link} nodad", $"link set {link} up",
            $"route add default via {routersAddress}", $"route add ::/0 via fd79:{routers6}");
    }
}
