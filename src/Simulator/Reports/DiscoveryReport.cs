using System.Globalization;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Advice;
using Keepalive.Simulator.Discover;

namespace Keepalive.Simulator.Reports;

/// <summary>Prints what was measured: a block for each far end and the policy, or one JSON object a line.</summary>
internal static class DiscoveryReport
{
    public static void WriteText(DiscoveryVerdict verdict, TextWriter output)
    {
        var measured = verdict.Measured;
        var remote = measured.Request.Remote.ToString();
        output.WriteLine(remote == verdict.Host.ToString() ? remote : $"{verdict.Host} at {remote}");
        Line("idle timeout", Timeout(measured));
        if (measured.Classes.Count > 0)
        {
            Line("at expiry", string.Join(" or ", measured.Classes.Select(IdleBehaviour.NameOf)));
        }
        if (verdict.RestartedBy is { } restarted)
        {
            Line("restarted by", restarted);
        }
        if (measured.IsMeasured)
        {
            Line("proxy", verdict.Proxy);
        }
        Line("far end", FarEnd(measured));
        if (verdict.Direct is { } direct)
        {
            Line("direct way", $"{direct.Request.Remote}: {Timeout(direct)}{(verdict.IsFarEnds ? "; the same, so it is the far end that ends idle connections" : direct.Cut is { } why ? $" ({why})" : "")}");
        }
        if (measured.IsMeasured)
        {
            Line("looks like", verdict.Presets.Count > 0 ? string.Join(", ", verdict.Presets.Select(preset => preset.Name)) : "no known balancer with its default timeout");
            if (verdict.Configurable.Count > 0)
            {
                Line("or, configured", string.Join(", ", verdict.Configurable.Select(preset => preset.Name)));
            }
        }
        foreach (var unknown in verdict.Unknown)
        {
            Line("unknown", unknown);
        }
        Line("measured", $"{Words.Count(measured.Connections, "connection")} in {Words.Duration(Rounded(measured.Took))}{(measured.LostPackets ? ", packets were lost" : "")}");
        if (measured.Cut is { } cut)
        {
            Line("ended early", cut);
        }
        void Line(string name, string text) => output.WriteLine($"  {name,-14}  {text}");
    }

    /// <summary>Writes the policy that keeps such a connection.</summary>
    public static void WritePolicy(DiscoveryVerdict verdict, string name, TextWriter output)
    {
        output.WriteLine();
        if (verdict.Advise(out var reason) is { } advice)
        {
            output.WriteLine($"# Keeps such a connection ({advice.Limit}).");
            output.Write(AdvisedPolicy.Write(name, advice.Settings, verdict.Measured.Request.Remote.Address.ToString()));
        }
        else
        {
            output.WriteLine(reason);
        }
    }

    public static void WriteJson(DiscoveryVerdict verdict, string name, TextWriter output) => output.WriteLine(SimulatorJson.Lines.Of(writer =>
    {
        var measured = verdict.Measured;
        writer.WriteString("host", verdict.Host.ToString());
        writer.WriteString("remote", measured.Request.Remote.ToString());
        Number("idleTimeoutLeastSeconds", measured.IsContradictory ? null : measured.Timeout.From);
        Number("idleTimeoutMostSeconds", measured.Timeout.To);
        Strings("expiry", measured.Classes.Select(IdleBehaviour.NameOf));
        Strings("refresh", measured.Refreshes.Select(IdleBehaviour.NameOf));
        writer.WriteString("proxy", verdict.Proxy);
        Number("maximumAgeSeconds", measured.MaximumAge?.To);
        Number("changedAtSeconds", measured.ChangedAt);
        Number("farEndProbesSeconds", measured.FarEndProbes);
        Number("farEndClosesSeconds", measured.FarEndCloses);
        if (verdict.Direct is { } direct)
        {
            writer.WriteStartObject("direct");
            writer.WriteString("remote", direct.Request.Remote.ToString());
            Number("idleTimeoutLeastSeconds", direct.Timeout.From);
            Number("idleTimeoutMostSeconds", direct.Timeout.To);
            writer.WriteBoolean("same", verdict.IsFarEnds);
            writer.WriteEndObject();
        }
        Strings("presets", verdict.Presets.Select(preset => preset.Name));
        Strings("configurable", verdict.Configurable.Select(preset => preset.Name));
        Strings("unknown", verdict.Unknown);
        writer.WriteBoolean("lostPackets", measured.LostPackets);
        writer.WriteNumber("connections", measured.Connections);
        Number("tookSeconds", measured.Took);
        writer.WriteString("endedEarly", measured.Cut);
        var advice = verdict.Advise(out var reason);
        writer.WriteString("policy", advice is null ? null : AdvisedPolicy.Write(name, advice.Settings, measured.Request.Remote.Address.ToString()));
        writer.WriteString("noPolicy", advice is null ? reason : null);

        void Number(string key, TimeSpan? value)
        {
            if (value is { } known)
            {
                writer.WriteNumber(key, Math.Round(known.TotalSeconds, 3));
            }
            else
            {
                writer.WriteNull(key);
            }
        }

        void Strings(string key, IEnumerable<string> values)
        {
            writer.WriteStartArray(key);
            foreach (var value in values)
            {
                writer.WriteStringValue(value);
            }
            writer.WriteEndArray();
        }
    }));

    /// <summary>The timeout in words.</summary>
    public static string Timeout(Measurement measured)
    {
        var (from, to) = (measured.Timeout.From, measured.Timeout.To);
        return measured.IsContradictory ? "unknown"
            : to is { } most ? string.Create(CultureInfo.InvariantCulture, $"{Seconds(from)} to {Seconds(most)} s")
            : from > TimeSpan.Zero ? $"longer than {Seconds(from)} s: nothing was forgotten"
            : "unknown";
    }

    private static string FarEnd(Measurement measured)
    {
        var trip = string.Create(CultureInfo.InvariantCulture, $"round trip {measured.RoundTrip.TotalMilliseconds:0.#} ms");
        return measured.FarEndCloses is { } closes ? $"{trip}; closes connections by itself after {Seconds(closes)} s without payload"
            : measured.FarEndProbes is { } every ? $"{trip}; sends something every {Seconds(every)} s"
            : trip;
    }

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString(time < TimeSpan.FromSeconds(100) ? "0.00" : "0.0", CultureInfo.InvariantCulture);

    private static TimeSpan Rounded(TimeSpan time) => TimeSpan.FromSeconds(Math.Round(time.TotalSeconds, 1));
}
