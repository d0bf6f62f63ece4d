using System.Globalization;

namespace Keepalive.Agent.Reports;

/// <summary>A number and what it counts: <c>1 port</c>, <c>2 ports</c>.</summary>
internal static class Counted
{
    public static string Of(int number, string singular, string? plural = null) =>
        string.Create(CultureInfo.InvariantCulture, $"{number} {(number == 1 ? singular : plural ?? singular + "s")}");
}
