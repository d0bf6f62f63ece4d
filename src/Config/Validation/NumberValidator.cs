using Keepalive.Config.Reading;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Validation;

/// <summary>Checks the ranges of numbers.</summary>
internal static class NumberValidator
{
    /// <summary>Reports a number outside its range.</summary>
    public static void Validate(Positioned<long>? number, string field, long min, long max, ResourceReport report, string? reason = null)
    {
        if (number is { } value && (value.Value < min || value.Value > max))
        {
            report.Report(DiagnosticCatalog.NumberRange, value.Position, field,
                $"must be {min} to {max}{(reason is null ? "" : $" ({reason})")}, but is {value.Value}",
                value.Value < min ? $"write {min} or more" : $"write {max} or less");
        }
    }

    /// <summary>Reports a port number that is none.</summary>
    public static void ValidatePort(PortSelector? port, string field, ResourceReport report)
    {
        if (port is { Number: { } number })
        {
            Validate(new Positioned<long>(number, port.Position), $"{field}.number", 1, 65535, report);
        }
    }
}
