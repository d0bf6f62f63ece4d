using System.Collections.Immutable;
using System.Globalization;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Finds keepalive in a piece of Envoy's configuration.</summary>
/// <remarks>
/// Either a <c>tcp_keepalive</c> (of <c>upstream_connection_options</c>, or of a listener), or raw <see cref="EnvoySocketOptions"/>. Both
/// spellings of JSON's names for protobuf fields count. Values are plain numbers of seconds.
/// </remarks>
internal sealed class EnvoyKeepalive(ResourceReport report)
{
    private const string Options = "socket_options";
    private const string Settings = "tcp_keepalive";

    private static readonly KeepaliveNames s_names = new("keepalive_probes", "keepalive_time", "keepalive_interval") { IsInSeconds = true };

    private readonly ImmutableArray<(string Path, TcpKeepalive Keepalive)>.Builder _found =
        ImmutableArray.CreateBuilder<(string Path, TcpKeepalive Keepalive)>();

    /// <summary>The keepalive that was found and can be judged, each with its path.</summary>
    public ImmutableArray<(string Path, TcpKeepalive Keepalive)> Found => _found.ToImmutable();

    /// <summary>Looks into the value of a patch.</summary>
    /// <param name="value">The value.</param>
    /// <param name="path">Its path.</param>
    /// <param name="isCluster">Whether it is a cluster: that has its settings one level down.</param>
    public void Find(YamlNode value, string path, bool isCluster)
    {
        switch (value)
        {
            case SequenceNode sequence:
                for (var i = 0; i < sequence.Items.Count; i++)
                {
                    if (sequence.Items[i] is not ScalarNode)
                    {
                        Find(sequence.Items[i], string.Create(CultureInfo.InvariantCulture, $"{path}[{i}]"), isCluster: false);
                    }
                }

                break;
            case MappingNode mapping:
                foreach (var (key, inner) in mapping.Entries)
                {
                    Find(key, inner, path, isCluster);
                }

                break;
            default:
                break;
        }
    }

    private void Find(ScalarNode key, YamlNode value, string parent, bool isCluster)
    {
        var path = $"{parent}.{Quoting.Shorten(key.Value)}";
        if (NameOf(key.Value) is not { } name)
        {
            if (value is not ScalarNode)
            {
                Find(value, path, isCluster: false);
            }

            return;
        }

        if (key.Value != name && key.Value != Camel(name))
        {
            report.Report(DiagnosticCatalog.UnknownKey, key.Position, parent, $"has no field {Quoting.Quote(key.Value)}", $"did you mean \"{name}\"?");
        }
        else if (isCluster)
        {
            report.Report(DiagnosticCatalog.UnknownKey, key.Position, parent, $"has no field {Quoting.Quote(key.Value)} in a cluster",
                $"write {(name == Options ? "upstream_bind_config" : "upstream_connection_options")}.{name}");
        }
        else if (name == Options && value is MappingNode { Entries: [_, ..] } wrapped && wrapped.Entries.All(static entry => NameOf(entry.Key.Value) == Options))
        {
            Find(value, path, isCluster: false);   // a SocketOptionsOverride, as additional addresses have it
        }
        else if (name == Options)
        {
            if (new EnvoySocketOptions(report).Read(key.Position, value, path) is { } raw)
            {
                _found.Add((path, raw));
            }
        }
        else if (Read(key.Position, value, path) is { } keepalive)
        {
            _found.Add((path, keepalive));
        }
    }

    private TcpKeepalive? Read(SourcePosition position, YamlNode value, string path)
    {
        if (value is not MappingNode settings)
        {
            EnvoyNumber.ReportEmpty(report, value, position, path, "a mapping", "write {keepalive_time: 60, keepalive_interval: 10, keepalive_probes: 6}");
            return null;
        }

        var reader = new ObjectReader(settings, path, report);
        var number = new EnvoyNumber(reader);
        var keepalive = new TcpKeepalive
        {
            Probes = number.Read(s_names.Probes, Camel(s_names.Probes), 0, KeepaliveSettings.MaxProbes),
            Time = EnvoyNumber.Seconds(number.Read(s_names.Time, Camel(s_names.Time), 0, KeepaliveSettings.MaxTime, isTime: true)),
            Interval = EnvoyNumber.Seconds(number.Read(s_names.Interval, Camel(s_names.Interval), 0, KeepaliveSettings.MaxInterval, isTime: true)),
            Position = position,
            Names = s_names,
        };
        reader.Close(static key => KeepaliveReader.Meaning(key, s_names));
        return number.IsFaulty || SwitchesOff(keepalive, path, report) ? null : keepalive;
    }

    /// <summary>Reports a value of 0, which switches keepalive off in Envoy.</summary>
    public static bool SwitchesOff(TcpKeepalive keepalive, string path, ResourceReport report)
    {
        var names = keepalive.Names;
        foreach (var (name, position, isZero) in new[]
        {
            (names.Time, keepalive.Time?.Position, IsZero(keepalive.Time)),
            (names.Interval, keepalive.Interval?.Position, IsZero(keepalive.Interval)),
            (names.Probes, keepalive.Probes?.Position, keepalive.Probes is { Value: 0 }),
        })
        {
            if (isZero)
            {
                var example = name == names.Probes ? names.Write(name, "6") : names.Seconds(name, name == names.Time ? 60 : 10);
                report.Report(DiagnosticCatalog.KeepaliveOff, position!.Value, $"{path}.{name}", "is 0, which switches keepalive off: no probe is sent",
                    $"write {example}, or remove {name} for the socket's own value");
                return true;
            }
        }

        return false;
    }

    private static bool IsZero(Positioned<string>? duration) => duration is { } text && GoDuration.TryParse(text.Value, out var nanoseconds) && nanoseconds == 0;

    /// <summary>The field that a key is, or probably means; null for others.</summary>
    private static string? NameOf(string key) => DidYouMean.Distance(KeepaliveReader.Plain(key.Length > 20 ? "" : key), "socketoptions") <= 1 ? Options
        : DidYouMean.Distance(KeepaliveReader.Plain(key.Length > 20 ? "" : key), "tcpkeepalive") <= 1 ? Settings : null;

    /// <summary>The other spelling of a field: <c>keepaliveTime</c> for <c>keepalive_time</c>.</summary>
    private static string Camel(string name) => string.Concat(name.Split('_').Select(static (word, i) => i == 0 ? word : char.ToUpperInvariant(word[0]) + word[1..]));
}
