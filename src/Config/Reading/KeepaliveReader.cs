using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads a <c>tcpKeepalive</c>, which policies for either end and Istio's DestinationRules have alike.</summary>
internal static class KeepaliveReader
{
    /// <summary>The keepalive under a key.</summary>
    /// <param name="parent">The mapping that has the key.</param>
    /// <param name="key">The key.</param>
    /// <param name="names">Other names of the values.</param>
    public static TcpKeepalive? Read(ObjectReader parent, string key, KeepaliveNames? names = null)
    {
        var known = names ?? KeepaliveNames.Usual;
        if (parent.Object(key) is not { } reader)
        {
            if (parent.IsEmpty(key))
            {
                parent.Report.MarkFaulty(parent.PathOf(key));
                parent.Report.Report(DiagnosticCatalog.EmptyKeepalive, parent.KeyPosition(key), parent.PathOf(key),
                    "has nothing after it, which sets nothing", $"write \"{{}}\" for the socket's own values, or {known.Time}, {known.Interval} and {known.Probes}");
            }

            return null;
        }

        var keepalive = new TcpKeepalive
        {
            Probes = reader.Integer(known.Probes, 0, KeepaliveSettings.MaxProbes, "Linux's limit"),
            Time = reader.Duration(known.Time),
            Interval = reader.Duration(known.Interval),
            Position = parent.KeyPosition(key),
            Names = known,
        };
        reader.Close(name => Meaning(name, known));
        return keepalive;
    }

    /// <summary>The value that another kind, or the kernel, has under a name; null if there is none.</summary>
    public static string? Meaning(string key, KeepaliveNames names) => Plain(key) switch
    {
        var plain when plain.Contains("prob", StringComparison.Ordinal) || plain.EndsWith("count", StringComparison.Ordinal)
            || plain.EndsWith("cnt", StringComparison.Ordinal) || plain.EndsWith("retries", StringComparison.Ordinal) => names.Probes,
        var plain when plain.Contains("interval", StringComparison.Ordinal) || plain.Contains("intvl", StringComparison.Ordinal) => names.Interval,
        var plain when plain.Contains("time", StringComparison.Ordinal) || plain.Contains("idle", StringComparison.Ordinal) => names.Time,
        _ => null,
    };

    /// <summary>A key in lower case and without separators.</summary>
    public static string Plain(string key) => key.Replace("_", "", StringComparison.Ordinal).Replace("-", "", StringComparison.Ordinal).ToLowerInvariant();
}
