using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads a <c>tcpKeepalive</c>, which policies for either end and Istio's DestinationRules have alike.</summary>
internal static class KeepaliveReader
{
    public static TcpKeepalive? Read(ObjectReader parent, string key)
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
            Probes = reader.Integer("probes", 0, KeepaliveSettings.MaxProbes, "Linux's limit"),
            Time = reader.Duration("time"),
            Interval = reader.Duration("interval"),
            Position = parent.KeyPosition(key),
        };
        reader.Close();
        return keepalive;
    }
}
