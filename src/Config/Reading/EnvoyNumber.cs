using System.Globalization;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads integers of Envoy's configuration. JSON may have them as strings; they have no unit.</summary>
internal sealed class EnvoyNumber(ObjectReader reader)
{
    /// <summary>Whether one was reported.</summary>
    public bool IsFaulty { get; private set; }

    /// <summary>A number as a duration.</summary>
    public static Positioned<string>? Seconds(Positioned<long>? number) =>
        number is { } value ? new(string.Create(CultureInfo.InvariantCulture, $"{value.Value}s"), value.Position) : null;

    /// <summary>Reports a value of another type, or nothing at all.</summary>
    public static void ReportEmpty(ResourceReport report, YamlNode value, SourcePosition position, string path, string expected, string fix)
    {
        if (value is ScalarNode { Type: ScalarType.Null } or SequenceNode { Items.Count: 0 })
        {
            report.Report(DiagnosticCatalog.EmptyKeepalive, position, path, "is empty, which sets nothing", fix);
        }
        else if (value is not ScalarNode { Type: ScalarType.Broken })
        {
            report.Report(DiagnosticCatalog.WrongType, value.Position, path, $"must be {expected}, but it is {value.Description}", fix);
        }
    }

    /// <summary>The number under one of the two spellings of a field; null if there is none, or if it was reported.</summary>
    /// <param name="name">The field.</param>
    /// <param name="other">Its other spelling.</param>
    /// <param name="min">The least it can be.</param>
    /// <param name="max">The most it can be.</param>
    /// <param name="isTime">Whether it counts seconds.</param>
    /// <param name="words">Names that people write instead of numbers.</param>
    public Positioned<long>? Read(string name, string other, long min, long max, bool isTime = false, IReadOnlyDictionary<string, long>? words = null)
    {
        var (value, key) = (reader.Value(name), name);
        if (reader.Value(other) is { } spelt && other != name)
        {
            (value, key) = (spelt, other);
        }

        if (value is null)
        {
            return null;
        }

        var path = reader.PathOf(key);
        if (value is ScalarNode { Type: ScalarType.Integer or ScalarType.OtherNumber or ScalarType.String } scalar)
        {
            if (ScalarTypes.TryReadInteger(scalar, out var number)
                || (scalar.Type == ScalarType.String && long.TryParse(scalar.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out number)))
            {
                if (number >= min && number <= max)
                {
                    return new Positioned<long>(number, scalar.Position);
                }

                Fail(DiagnosticCatalog.NumberRange, scalar, path, $"must be {min} to {max} (Linux's limit), but is {number}",
                    number < min ? $"write {Math.Max(min, 1)} or more" : $"write {max} or less");
                return null;
            }

            if (GoDuration.TryParse(scalar.Value, out var nanoseconds) && nanoseconds > 0)
            {
                Fail(DiagnosticCatalog.WrongType, scalar, path, $"must be a plain number{(isTime ? " of seconds" : "")}, but {Quoting.Quote(scalar.Value)} has a unit",
                    $"write {Math.Max(1, nanoseconds / GoDuration.Second)}");
                return null;
            }

            if (words?.TryGetValue(scalar.Value, out var meant) == true)
            {
                Fail(DiagnosticCatalog.WrongType, scalar, path, $"must be a number, but {Quoting.Quote(scalar.Value)} is a name", $"write {meant}");
                return null;
            }
        }

        var wrapped = value is MappingNode mapping && mapping.TryFind("value", out var entry) && entry.Value is ScalarNode inner ? inner.Value : null;
        Fail(DiagnosticCatalog.WrongType, value, path,
            $"must be a plain number{(isTime ? " of seconds" : "")}, but {(value is ScalarNode one ? $"{Quoting.Quote(one.Value)} is {one.Description}" : $"it is {value.Description}")}",
            long.TryParse(wrapped, NumberStyles.None, CultureInfo.InvariantCulture, out var plain) ? $"write {key}: {plain}"
                : value is ScalarNode { Type: ScalarType.Boolean } boolean ? $"write {(boolean.Value.ToLowerInvariant() is "false" or "no" or "off" ? 0 : 1)}"
                : "write a whole decimal number");
        return null;
    }

    private void Fail(DiagnosticKind kind, YamlNode value, string path, string message, string fix)
    {
        IsFaulty = true;
        reader.Report.Report(kind, value.Position, path, message, fix);
    }
}
