using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads a <c>tcpKeepalive</c>, which policies for either end and Istio's DestinationRules have alike.</summary>
internal static class KeepaliveReader
{
    /// <summary>The keepalive under a key.</summary>
    /// <param name="parent">The mapping that has the key.</param>
    /// <param name="key">The key.</param>
    /// <param name="names">Other names of the values; then the kind is somebody else's, and only misspelt keys are reported.</param>
    public static TcpKeepalive? Read(ObjectReader parent, string key, KeepaliveNames? names = null)
    {
        if (parent.Object(key) is not { } reader)
        {
            if (parent.IsEmpty(key))
            {
                parent.Report.MarkFaulty(parent.PathOf(key));
                parent.Report.Report(DiagnosticCatalog.EmptyKeepalive, parent.KeyPosition(key), parent.PathOf(key),
                    "has nothing after it, which sets nothing", "write \"{}\" for the socket's own values, or time, interval and probes");
            }

            return null;
        }

        var keepalive = new TcpKeepalive
        {
            Probes = reader.Integer((names ?? KeepaliveNames.Usual).Probes, 0, KeepaliveSettings.MaxProbes, "Linux's limit"),
            Time = reader.Duration((names ?? KeepaliveNames.Usual).Time),
            Interval = reader.Duration((names ?? KeepaliveNames.Usual).Interval),
            Position = parent.KeyPosition(key),
            Names = names ?? KeepaliveNames.Usual,
        };
        if (names is null)
        {
            reader.Close();
        }
        else
        {
            reader.CloseOpen();
        }

        return keepalive;
    }
}
