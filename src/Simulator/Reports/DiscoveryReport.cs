using System.Globalization;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Advice;
using Keepalive.Simulator.Discover;

namespace Keepalive.Simulator.Reports;

/// <summary>Prints what was measured: a block for each far end and the policy, or one JSON object a line.</summary>
internal static class DiscoveryReport
{
    private static readonly TimeSpan s_shortTrip = TimeSpan.FromMilliseconds(0.1);

    public static void WriteText(DiscoveryVerdict verdict, TextWriter output)
    {
        var remote = verdict.Measured.Request.Remote.ToString();
        output.WriteLine(remote == verdict.Host.ToString() ? remote : $"{verdict.Host} at {remote}");
        foreach (var (name, text) in Lines(verdict))
        {
            output.WriteLine($"  {name,-14}  {text}");
        }
    }

    /// <summary>The result, line by line.</summary>
    public static IReadOnlyList<(string Name, string Text)> Lines(DiscoveryVerdict verdict)
    {
        var lines = new List<(string Name, string Text)>();
        var measured = verdict.Measured;
        if (measured is { Cut: { } obstacle, IsEverOpened: false })
        {
            Line("not measured", obstacle);
            return lines;
        }
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
        if (FarEnd(verdict) is { Length: > 0 } farEnd)
        {
            Line("far end", farEnd);
        }
        if (verdict.Direct is { } direct)
        {
            Line("direct way", $"{direct.Request.Remote}: {DirectWay(verdict, direct)}");
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
        return lines;
        void Line(string name, string text) => lines.Add((name, text));
    }

    /// <summary>Writes the policy that keeps connections to all measured addresses for which there is one, and why there is none for the others.</summary>
    public static void WritePolicy(IReadOnlyCollection<DiscoveryVerdict> verdicts, string name, TextWriter output)
    {
        var advised = verdicts.Where(verdict => verdict.Measured.IsMeasured).OrderBy(verdict => verdict.Measured.Timeout.From)
            .Select(verdict => (Verdict: verdict, Advice: verdict.Advise(out var reason), Reason: reason)).ToList();
        if (advised.Find(one => one.Advice is not null) is { Advice: { } shortest })
        {
            string[] addresses = [.. advised.Where(one => one.Advice is not null).Select(one => one.Verdict.Measured.Request.Remote.Address.ToString()).Distinct()];
            output.WriteLine();
            output.WriteLine(addresses.Length == 1
                ? $"# Keeps such a connection ({shortest.Limit})."
                : $"# Keeps connections to {addresses.Length} addresses, by the shortest of their idle timeouts ({shortest.Limit}).");
            output.Write(AdvisedPolicy.Write(name, shortest.Settings, addresses));
        }
        foreach (var (verdict, _, reason) in advised.Where(one => one.Advice is null))
        {
            output.WriteLine();
            output.WriteLine(verdicts.Count > 1 ? $"{verdict.Measured.Request.Remote}: {reason}" : reason);
        }
    }

    public static void WriteJson(DiscoveryVerdict verdict, string name, TextWriter output) => output.WriteLine(SimulatorJson.Lines.Of(writer =>
    {
        var measured = verdict.Measured;
        writer.WriteString("host", verdict.Host.ToString());
        writer.WriteString("remote", measured.Request.Remote.ToString());
        Number("idleTimeoutLeastSeconds", Least(measured));
        Number("idleTimeoutMostSeconds", measured.Timeout.To);
        Strings("expiry", measured.Classes.Select(IdleBehaviour.NameOf));
        Strings("refresh", measured.Refreshes.Select(IdleBehaviour.NameOf));
        writer.WriteString("proxy", verdict.Proxy);
        Number("maximumAgeSeconds", measured.MaximumAge?.To);
        Number("changedAtSeconds", measured.ChangedAt);
        Number("farEndProbesSeconds", measured.FarEndSpeech is { } speech ? speech.Every : measured.FarEndProbes);
        Number("farEndClosesSeconds", measured.FarEndCloses);
        if (verdict.Direct is { } direct)
        {
            writer.WriteStartObject("direct");
            writer.WriteString("remote", direct.Request.Remote.ToString());
            Number("idleTimeoutLeastSeconds", Least(direct));
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
            : from == TimeSpan.Zero ? "unknown"
            : measured.MaximumAge is not null ? $"none in the {Seconds(from)} s that connections live"
            : $"longer than {Seconds(from)} s: nothing was forgotten{(measured.Cut is null ? "" : " by then")}";
    }

    /// <summary>The longest idle time that was survived; null if none was.</summary>
    private static TimeSpan? Least(Measurement measured) => measured.IsContradictory || measured.Timeout.From == TimeSpan.Zero ? null : measured.Timeout.From;

    private static string FarEnd(DiscoveryVerdict verdict)
    {
        var measured = verdict.Measured;
        var trip = measured.RoundTrip == TimeSpan.Zero ? null
            : measured.RoundTrip < s_shortTrip ? "round trip under 0.1 ms"
            : string.Create(CultureInfo.InvariantCulture, $"round trip {measured.RoundTrip.TotalMilliseconds:0.#} ms");
        var does = measured.FarEndCloses is { } closes ? $"closes connections by itself after {Seconds(closes)} s without payload" : verdict.Speech;
        return string.Join("; ", new[] { trip, does }.OfType<string>());
    }

    private static string DirectWay(DiscoveryVerdict verdict, Measurement direct) =>
        direct is { IsEverOpened: false, Cut: { } obstacle } ? $"not measured ({obstacle})"
        : Timeout(direct) + (verdict is { IsFarEnds: true, Measured.EndsTcp: true } ? "; the same, so the far end itself ends idle connections"
            : verdict.IsFarEnds ? "; the same, so the cause is on both ways, or the far end"
            : direct.Cut is { } why ? $" ({why})"
            : "");

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString(time < TimeSpan.FromSeconds(100) ? "0.00" : "0.0", CultureInfo.InvariantCulture);

    private static TimeSpan Rounded(TimeSpan time) => TimeSpan.FromSeconds(Math.Round(time.TotalSeconds, 1));
}
