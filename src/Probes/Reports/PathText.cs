using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Text;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Reports;

/// <summary>VLANs and tunnels as text, each made once.</summary>
/// <param name="toText">Makes it.</param>
internal sealed class PathText(Func<EncapsulationLayer[], string> toText)
{
    private const int Limit = 8192;

    private readonly Dictionary<int, byte[]> _known = [];

    /// <summary>In UTF-8.</summary>
    public ReadOnlySpan<byte> Of(PathTable paths, int path)
    {
        if (!_known.TryGetValue(path, out var text))
        {
            if (_known.Count == Limit)
            {
                _known.Clear();
            }
            _known.Add(path, text = Encoding.UTF8.GetBytes(toText(paths.LayersOf(path).ToArray())));
        }
        return text;
    }

    /// <summary><c>vlan 7, vxlan 42 10.0.0.1&gt;10.0.0.2</c>.</summary>
    public static string Line(EncapsulationLayer[] layers) => layers.Length == 0 ? "other" : string.Join(", ", layers.Select(static layer =>
        Name(layer.Kind) + (layer.Id < 0 ? "" : $" {Number(layer.Id)}") + (layer.HasAddresses ? $" {Address(layer.Source)}>{Address(layer.Destination)}" : "")));

    /// <summary><c>[{"type":"vlan","id":7},{"type":"vxlan","id":42,"source":"10.0.0.1","destination":"10.0.0.2"}]</c>.</summary>
    public static string Json(EncapsulationLayer[] layers) => layers.Length == 0 ? """[{"type":"other"}]""" : $"[{string.Join(',', layers.Select(Json))}]";

    /// <summary>The kind of a VLAN or tunnel.</summary>
    public static string Name(EncapsulationKind kind) => kind switch
    {
        EncapsulationKind.Vlan => "vlan",
        EncapsulationKind.Vxlan => "vxlan",
        EncapsulationKind.Geneve => "geneve",
        EncapsulationKind.Gre => "gre",
        EncapsulationKind.Erspan => "erspan",
        EncapsulationKind.IPv4InIPv4 => "ipip",
        EncapsulationKind.IPv6InIPv4 => "6in4",
        EncapsulationKind.IPv4InIPv6 => "4in6",
        EncapsulationKind.IPv6InIPv6 => "6in6",
        EncapsulationKind.Fou => "fou",
        EncapsulationKind.Gue => "gue",
        EncapsulationKind.Mpls => "mpls",
        EncapsulationKind.Pppoe => "pppoe",
        EncapsulationKind.Authentication => "ah",
        _ => "other",
    };

    private static string Json(EncapsulationLayer layer)
    {
        var text = new StringBuilder("{\"type\":\"").Append(Name(layer.Kind)).Append('"');
        if (layer.Id >= 0)
        {
            text.Append(",\"id\":").Append(Number(layer.Id));
        }
        if (layer.HasAddresses)
        {
            text.Append(",\"source\":\"").Append(Address(layer.Source)).Append("\",\"destination\":\"").Append(Address(layer.Destination)).Append('"');
        }
        return text.Append('}').ToString();
    }

    private static string Number(long id) => id.ToString(CultureInfo.InvariantCulture);

    private static string Address(UInt128 address)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, address);
        var ip = new IPAddress(bytes);
        return (ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : ip).ToString();
    }
}
