using System.Globalization;

namespace Keepalive.Simulator.Commands;

/// <summary>Options that take a part of the whole: <c>1%</c> or <c>0.01</c>.</summary>
internal static class PartOfWhole
{
    /// <summary>Reads a part within a range.</summary>
    public static bool TryParse(string? text, double least, double most, out double part)
    {
        var isPercent = text?.EndsWith('%') == true;
        var isNumber = double.TryParse(isPercent ? text![..^1] : text, NumberStyles.Float, CultureInfo.InvariantCulture, out part);
        part = isPercent ? part / 100 : part;
        return isNumber && part >= least && part <= most;
    }
}
