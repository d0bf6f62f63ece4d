using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Globalization;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads keepalive from Envoy's <c>socket_options</c>: options by the numbers of Linux.</summary>
/// <remarks>1/9 is SO_KEEPALIVE, 6/4 TCP_KEEPIDLE, 6/5 TCP_KEEPINTVL, 6/6 TCP_KEEPCNT, 6/18 TCP_USER_TIMEOUT.</remarks>
internal sealed class EnvoySocketOptions(ResourceReport report)
{
    private const long Socket = 1;
    private const long KeepaliveSwitch = 9;
    private const long Tcp = 6;
    private const long Idle = 4;
    private const long Interval = 5;
    private const long Count = 6;
    private const long Timeout = 18;

    private const string Example = "write - {level: 1, name: 9, int_value: 1, state: STATE_PREBIND} and so on: 6/4 is the time, 6/5 the interval, 6/6 the probes";

    private static readonly KeepaliveNames s_names = new("{level: 6, name: 6}", "{level: 6, name: 4}", "{level: 6, name: 5}")
    {
        IsInSeconds = true,
        IsOfOptions = true,
    };

    private static readonly FrozenDictionary<string, long> s_levels = new Dictionary<string, long>
    {
        ["SOL_SOCKET"] = Socket,
        ["SOL_TCP"] = Tcp,
        ["IPPROTO_TCP"] = Tcp,
    }.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);

    private static readonly FrozenDictionary<string, long> s_optionNames = new Dictionary<string, long>
    {
        ["SO_KEEPALIVE"] = KeepaliveSwitch,
        ["TCP_KEEPIDLE"] = Idle,
        ["TCP_KEEPINTVL"] = Interval,
        ["TCP_KEEPCNT"] = Count,
        ["TCP_USER_TIMEOUT"] = Timeout,
    }.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);

    private bool _isFaulty;

    /// <summary>The keepalive of a list of options; null if they switch none on, or have errors.</summary>
    public TcpKeepalive? Read(SourcePosition position, YamlNode value, string path)
    {
        if (value is not SequenceNode { Items.Count: > 0 } options)
        {
            EnvoyNumber.ReportEmpty(report, value, position, path, "a list", Example);
            return null;
        }

        var keepalive = new TcpKeepalive { Position = position, Names = s_names };
        var (isOn, isSet) = (false, false);
        for (var i = 0; i < options.Items.Count; i++)
        {
            var optionPath = string.Create(CultureInfo.InvariantCulture, $"{path}[{i}]");
            if (options.Items[i] is not MappingNode mapping)
            {
                _isFaulty = true;
                report.Report(DiagnosticCatalog.WrongType, options.Items[i].Position, optionPath, $"must be a mapping, but it is {options.Items[i].Description}", Example);
                continue;
            }

            var (level, name, number) = ReadOption(new ObjectReader(mapping, optionPath, report));
            switch (level, name)
            {
                case (Socket, KeepaliveSwitch):
                    isOn = number is { Value: not 0 };
                    break;
                case (Tcp, Idle):
                    (keepalive, isSet) = (keepalive with { Time = EnvoyNumber.Seconds(number) }, true);
                    break;
                case (Tcp, Interval):
                    (keepalive, isSet) = (keepalive with { Interval = EnvoyNumber.Seconds(number) }, true);
                    break;
                case (Tcp, Count):
                    (keepalive, isSet) = (keepalive with { Probes = number }, true);
                    break;
                case (Tcp, Timeout):
                    keepalive = keepalive with { UserTimeout = number };
                    break;
                default:
                    break;
            }
        }

        if (isSet && !isOn && !_isFaulty)
        {
            report.Report(DiagnosticCatalog.KeepaliveOff, position, path, "has values of keepalive and does not switch it on, so that no probe is sent",
                "add {level: 1, name: 9, int_value: 1, state: STATE_PREBIND}");
        }

        return isOn && !_isFaulty ? keepalive : null;
    }

    private (long Level, long Name, Positioned<long>? Value) ReadOption(ObjectReader option)
    {
        var number = new EnvoyNumber(option);
        option.Value("description");
        option.Value("state");
        option.Value("type");
        var level = number.Read("level", "level", 0, int.MaxValue, words: s_levels);
        var name = number.Read("name", "name", 0, int.MaxValue, words: s_optionNames);
        var (least, most) = (level?.Value, name?.Value) switch
        {
            (Tcp, Idle) => (1, KeepaliveSettings.MaxTime),
            (Tcp, Interval) => (1, KeepaliveSettings.MaxInterval),
            (Tcp, Count) => (1, KeepaliveSettings.MaxProbes),
            (Tcp, Timeout) => (0, UserTimeout.Max),
            _ => (int.MinValue, int.MaxValue),
        };
        var value = number.Read("int_value", "intValue", least, most, isTime: (level?.Value, name?.Value) is (Tcp, Idle or Interval));
        var bytes = option.Value("buf_value") ?? option.Value("bufValue");
        value ??= bytes is ScalarNode text ? FromBytes(text) : null;
        if (bytes is not null && value is null && (level?.Value, name?.Value) is (Socket, KeepaliveSwitch) or (Tcp, Idle or Interval or Count or Timeout))
        {
            _isFaulty = true;
            report.Report(DiagnosticCatalog.BadValue, bytes.Position, option.PathOf("buf_value"), "must be the 4 bytes of an integer, in base64", "write int_value with a number");
        }

        if (!number.IsFaulty)
        {
            // Without a level and a name it says nothing; an unknown key may be the one that is missed, and is reported below.
            var missing = level is null ? "level" : name is null ? "name" : value is null && bytes is null ? "int_value" : null;
            if (missing is not null && option.Entries.All(entry => s_known.Contains(entry.Key.Value)))
            {
                _isFaulty = true;
                report.Report(DiagnosticCatalog.Missing, option.Position, option.PathOf(missing), "is required",
                    missing == "int_value" ? "add int_value with a number" : Example);
            }
        }

        _isFaulty |= number.IsFaulty || option.Entries.Any(static entry => !s_known.Contains(entry.Key.Value));
        option.Close(static key => KeepaliveReader.Plain(key) is "value" or "val" or "int" or "intval" ? "int_value"
            : KeepaliveReader.Plain(key) is "option" or "opt" or "optname" ? "name" : null);
        return (level?.Value ?? -1, name?.Value ?? -1, value);
    }

    private static readonly FrozenSet<string> s_known =
        FrozenSet.Create(StringComparer.Ordinal, "description", "level", "name", "int_value", "intValue", "buf_value", "bufValue", "state", "type");

    /// <summary>The int in the bytes of an option, which are base64; nodes are little-endian.</summary>
    private static Positioned<long>? FromBytes(ScalarNode text)
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        return text.Value.Length == 8 && Convert.TryFromBase64String(text.Value, bytes, out var count) && count == sizeof(int)
            ? new(BinaryPrimitives.ReadInt32LittleEndian(bytes), text.Position)
            : null;
    }
}
