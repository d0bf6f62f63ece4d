using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Keepalive.Simulator.Commands;

namespace Keepalive.Simulator.Lab;

/// <summary>A client and a server, each in its own network namespace, joined by a pair of veth ends.</summary>
/// <remarks>
/// <code>
///   client  c0 ───────────── s0  server
///   10.0.0.1, fd00::1            203.0.113.10, 2001:db8::10 (the destination), 198.51.100.7 (another one)
/// </code>
/// Addresses are of the blocks for documentation (RFC 5737, RFC 3849).
/// </remarks>
internal sealed class LabNetwork : IDisposable
{
    private LabNetwork()
    {
        Client = LabProcess.Start(LabCommands.Client);
        Server = LabProcess.Start(LabCommands.Server);
    }

    public static IPEndPoint Destination { get; } = IPEndPoint.Parse("203.0.113.10:15443");

    public static IPEndPoint Destination6 { get; } = IPEndPoint.Parse("[2001:db8::10]:15443");

    public static IPEndPoint DestinationMapped { get; } = new(Destination.Address.MapToIPv6(), Destination.Port);

    public static IPEndPoint OtherDestination { get; } = IPEndPoint.Parse("198.51.100.7:5432");

    public LabProcess Client { get; }

    public LabProcess Server { get; }

    public static async Task<LabNetwork> CreateAsync()
    {
        var network = new LabNetwork();
        try
        {
            // unshare(1) has done its work once they answer; before, they are still where this process is.
            await network.Client.AskAsync("options").ConfigureAwait(false);
            await network.Server.AskAsync("listen").ConfigureAwait(false);
            network.Join();
            await network.Server.AskAsync($"listen {Destination.Port} {OtherDestination.Port}").ConfigureAwait(false);
            return network;
        }
        catch
        {
            network.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Client.Dispose();
        Server.Dispose();
    }

    private void Join()
    {
        var ip = Tool.Find(Tool.Ip);
        Client.Run([ip!, "link", "add", "c0", "type", "veth", "peer", "name", "s0", "netns", Server.Pid.ToString(CultureInfo.InvariantCulture)]);
        Configure(Server, "s0", [$"{Destination.Address}/32", $"{OtherDestination.Address}/32", "10.0.0.2/24"], [$"{Destination6.Address}/128", "fd00::2/64"], "");
        var route6 = Socket.OSSupportsIPv6 ? $"{ip} -6 route add default via fd00::2" : "";
        Configure(Client, "c0", ["10.0.0.1/24"], ["fd00::1/64"], $"{ip} route add default via 10.0.0.2\n{route6}");
    }

    private static void Configure(LabProcess process, string link, string[] addresses, string[] addresses6, string routes)
    {
        var ip = Tool.Find(Tool.Ip);
        var lines = addresses.Select(address => $"{ip} address add {address} dev {link}");
        if (Socket.OSSupportsIPv6)
        {
            // A host where IPv6 is switched off by sysctl has it all the same: a new namespace can switch it on for itself.
            lines = lines
                .Append($"echo 0 > ipv6/conf/{link}/disable_ipv6")
                .Concat(addresses6.Select(address => $"{ip} address add {address} dev {link} nodad"));
        }
        process.Run(Tool.Command(Tool.Shell, "-c", $"""
            set -eu
            cd /proc/sys/net
            {ip} link set lo up
            {string.Join('\n', lines)}
            {ip} link set {link} up
            {routes}
            """));
    }
}
