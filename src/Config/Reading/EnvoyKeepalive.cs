using System.Collections.Immutable;
using System.Globalization;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Finds keepalive in a piece of Envoy's configuration.</summary>
/// <remarks>
/// Either a <c>tcp_keepalive</c> (of <c>upstream_connection_options</c>, or of a listener), or raw <c>socket_options</c> by the numbers of Linux:
/// 1/9 is SO_KEEPALIVE, 6/4 TCP_KEEPIDLE, 6/5 TCP_KEEPINTVL, 6/6 TCP_KEEPCNT. Both spellings of JSON's names for protobuf fields count.
/// </remarks>
internal static class EnvoyKeepalive
{
    private const long Socket = 1;
    private const long KeepaliveSwitch = 9;
    private const long Tcp = 6;
    private const long Idle = 4;
    private const long Interval = 5;
    private const long Count = 6;

    private static readonly KeepaliveNames s_optionNames = new("int_value of 6/6", "int_value of 6/4", "int_value of 6/5");

    public static void Find(YamlNode node, string path, ImmutableArray<(string Path, TcpKeepalive Keepalive)>.Builder found, ResourceReport report)
    {
        switch (node)
        {
            case SequenceNode sequence:
                for (var i = 0; i < sequence.Items.Count; i++)
                {
                    Find(sequence.Items[i], string.Create(CultureInfo.InvariantCulture, $"{path}[{i}]"), found, report);
                }

                break;
            case MappingNode mapping:
                foreach (var (key, value) in mapping.Entries)
                {
                    Find(key, value, $"{path}.{key.Value}", found, report);
                }

                break;
            default:
                break;
        }
    }

    private static void Find(
        ScalarNode key, YamlNode value, string path, ImmutableArray<(string Path, TcpKeepalive Keepalive)>.Builder found, ResourceReport report)
    {
        switch (key.Value)
        {
            case "socket_options" or "socketOptions" when value is SequenceNode options:
                if (FromOptions(key.Position, options, path, report) is { } raw)
                {
                    found.Add((path, raw));
                }

                break;
            case "tcp_keepalive" or "tcpKeepalive" when value is MappingNode settings:
                found.Add((path, FromSettings(key.Position, settings)));
                break;
            default:
                Find(value, path, found, report);
                break;
        }
    }

    private static TcpKeepalive FromSettings(SourcePosition position, MappingNode settings) => new()
    {
        Probes = Number(settings, "keepalive_probes", "keepaliveProbes"),
        Time = Seconds(Number(settings, "keepalive_time", "keepaliveTime")),
        Interval = Seconds(Number(settings, "keepalive_interval", "keepaliveInterval")),
        Position = position,
        Names = new KeepaliveNames("keepalive_probes", "keepalive_time", "keepalive_interval"),
    };

    private static TcpKeepalive? FromOptions(SourcePosition position, SequenceNode options, string path, ResourceReport report)
    {
        var keepalive = new TcpKeepalive { Position = position, Names = s_optionNames };
        var (isOn, isSet) = (false, false);
        foreach (var option in options.Items.OfType<MappingNode>())
        {
            var value = Number(option, "int_value", "intValue");
            switch (Number(option, "level", "level")?.Value, Number(option, "name", "name")?.Value)
            {
                case (Socket, KeepaliveSwitch):
                    isOn = value is { Value: not 0 };
                    break;
                case (Tcp, Idle):
                    (keepalive, isSet) = (keepalive with { Time = Seconds(value) }, true);
                    break;
                case (Tcp, Interval):
                    (keepalive, isSet) = (keepalive with { Interval = Seconds(value) }, true);
                    break;
                case (Tcp, Count):
                    (keepalive, isSet) = (keepalive with { Probes = value }, true);
                    break;
                default:
                    break;
            }
        }

        if (isSet && !isOn)
        {
            report.Report(DiagnosticCatalog.KeepaliveOff, position, path, "has values of keepalive and does not switch it on, so that no probe is sent",
                "add {level: 1, name: 9, int_value: 1, state: STATE_PREBIND}");
        }

        return isOn ? keepalive : null;
    }

    private static Positioned<string>? Seconds(Positioned<long>? number) =>
        number is { } value ? new(string.Create(CultureInfo.InvariantCulture, $"{value.Value}s"), value.Position) : null;

    /// <summary>An integer; JSON may have 64-bit ones as strings.</summary>
    private static Positioned<long>? Number(MappingNode mapping, string name, string other) =>
        (mapping.TryFind(name, out var entry) || mapping.TryFind(other, out entry)) && entry.Value is ScalarNode scalar
            && long.TryParse(scalar.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number)
            ? new(number, scalar.Position) : null;
}
