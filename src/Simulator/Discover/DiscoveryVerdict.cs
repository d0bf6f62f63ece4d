using System.Globalization;
using Keepalive.Config.Balancers;
using Keepalive.Simulator.Advice;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Discover;

/// <summary>What a measurement means: the sentences, the presets that fit, and the policy.</summary>
/// <param name="Host">The far end as it was given.</param>
/// <param name="Measured">The measurement.</param>
/// <param name="Direct">The measurement of a second way to the same far end, past the balancer; null if there was none.</param>
internal sealed record DiscoveryVerdict(DiscoveryTarget Host, Measurement Measured, Measurement? Direct)
{
    /// <summary>Seconds, where a vendor names no bound.</summary>
    private const int Unlimited = 100_000_000;

    /// <summary>Whether the far end behaves the same without the balancer.</summary>
    public bool IsFarEnds => Direct is { IsMeasured: true } direct && Measured.IsMeasured
        && direct.Timeout.From <= Measured.Timeout.To * 1.05 && direct.Timeout.To * 1.05 >= Measured.Timeout.From;

    private bool IsDirectKnown => Direct is { Cut: null, IsContradictory: false };

    /// <summary>The behaviour to assume where several agree with the measurement: for the policy, they do not differ.</summary>
    public IdleBehaviour Behaviour => new(Measured.Classes[0], Measured.Refreshes.Count > 0 ? Measured.Refreshes[0] : Refresh.AnyPacket);

    /// <summary>What restarts the clock; null if that is unknown.</summary>
    public string? RestartedBy => Measured.MaximumAge is { } age ? string.Create(CultureInfo.InvariantCulture, $"nothing: connections are closed {age.From.TotalSeconds:0.00} to {age.To!.Value.TotalSeconds:0.00} s after they were opened, whatever flows")
        : Measured.Refreshes is [] ? null
        : Measured.Refreshes[0] != Refresh.PayloadOnly ? "any packet: keepalive probes count"
        : Measured.IsPayloadTried ? "payload only: keepalive probes do not count"
        : "payload only, or nothing: keepalive probes do not count";

    public IReadOnlyList<string> Unknown => [.. Unknowns()];

    /// <summary>The presets with this timeout by default.</summary>
    public IReadOnlyList<BalancerPreset> Presets => [.. BalancerPresets.All.Where(preset => Agrees(preset) && preset.IdleTimeout is { } own && IsWithin(own, own))];

    /// <summary>The presets that can be configured to this timeout.</summary>
    public IReadOnlyList<BalancerPreset> Configurable => [.. BalancerPresets.All.Where(preset => Agrees(preset) && preset.IsConfigurable
        && !Presets.Contains(preset) && IsWithin(preset.MinIdleTimeout ?? 1, preset.MaxIdleTimeout ?? Unlimited))];

    /// <summary>Whether TCP ends between here and the far end, and the evidence.</summary>
    public string Proxy => !Measured.IsMeasured ? "unknown"
        : IsFarEnds && Measured.EndsTcp ? "no sign of one: the far end closes its idle connections on the direct way too"
        : Measured.IsPayloadOnly && Measured.EndsTcp ? $"a proxy or the far end itself ends idle connections: they are closed with a {(Measured.Classes is [ExpiryClass.FinBoth] ? "FIN" : "reset")}, and probes do not keep them open" + (IsDirectKnown ? "; the direct way does not do so" : " (--direct distinguishes the two)")
        : Measured.Classes is [ExpiryClass.FinBoth] ? "likely: idle connections are closed with a FIN, as by a proxy" + (IsDirectKnown ? "" : ", or by the far end itself (--direct distinguishes the two)")
        : Measured.IsPayloadOnly ? "no sign of one: idle connections are dropped, not closed. It looks like a firewall that ignores keepalive probes" + (Measured.IsPayloadTried ? "" : ", or that limits the age of connections")
        : Measured.Refreshes is [] ? "no sign of one: nothing is closed"
        : "no sign of one: probes reach the far end, and nothing is closed";

    /// <summary>The policy that keeps such a connection; null, and the reason, if none does.</summary>
    public Advice.Advice? Advise(out string reason)
    {
        if (!Measured.IsMeasured)
        {
            reason = WhyNoTimeout;
            return null;
        }
        return Advisor.Find(
            new AdviceRequest { Rule = new BalancerRule(Measured.Timeout.From, Behaviour), RoundTrip = RoundTrip, IsFirewall = Measured.IsPayloadOnly && !Measured.EndsTcp }, out reason);
    }

    /// <summary>Why there is no idle timeout.</summary>
    public string WhyNoTimeout => Measured.IsContradictory ? "the idle timeout is unknown"
        : Measured.MaximumAge is not null ? "connections have a maximum age, and nothing was forgotten before"
        : Measured.Timeout.From == TimeSpan.Zero ? "nothing was measured"
        : Measured.IsUncertain || !Measured.AreProbesAnswered ? "the idle timeout is unknown"
        : "nothing was forgotten";

    /// <summary>The traffic of the far end on idle connections, in words; null if there is none.</summary>
    public string? Speech => Measured.FarEndSpeech is not { } speech ? Measured.FarEndProbes is { } known ? $"sends {Sent} every {Seconds(known)}" : null
        : speech.Every is { } every ? $"sends {Sent} every {Seconds(every)}"
        : $"sends {Sent} from time to time, after {speech.Least.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture)} to {Seconds(speech.Most)}";

    private string Sent => Measured.FarEndSendsPayload ? "something" : "keepalive probes";

    private static string Seconds(TimeSpan time) => time.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture) + " s";

    private TimeSpan RoundTrip => Measured.RoundTrip < TimeSpan.FromMilliseconds(900) ? new TimeSpan(Measured.RoundTrip.Ticks / 2 * 2) : TimeSpan.FromMilliseconds(900);

    private bool Agrees(BalancerPreset preset) => Measured.IsMeasured && Measured.Classes.Contains(preset.Expiry)
        && (Measured.Refreshes.Count == 0 || Measured.Refreshes.Contains(preset.Refresh));

    /// <summary>Vendors give whole seconds, and their clocks tick.</summary>
    private bool IsWithin(int least, int most) => Measured.Timeout.To * 1.02 >= TimeSpan.FromSeconds(least - 1) && Measured.Timeout.From * 0.98 <= TimeSpan.FromSeconds(most + 1);

    private IEnumerable<string> Unknowns()
    {
        if (Measured.Several is { } several)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"the timeout: a connection had ended after {several.Dropped.TotalSeconds:0.00} s, and another was still known after {several.Known.TotalSeconds:0.00} s; there may be several boxes with different timeouts, or a limit on connections");
        }
        else if (Measured.IsContradictory)
        {
            yield return "the timeout: no single one explains what was seen; there may be several boxes with different rules, or a limit on connections";
        }
        else if (Measured is { IsUneven: true, IsMeasured: true })
        {
            yield return "one timeout: connections were closed after different times in this interval; there may be several boxes with different timeouts, or one that looks for idle connections only now and then";
        }
        else if (Measured.IsMeasured)
        {
        }
        else if (Measured.ChangedAt is not null)
        {
            yield return "longer timeouts: what was seen after the change does not count";
        }
        else if (!Measured.AreProbesAnswered)
        {
            yield return "the timeout: keepalive probes are not answered, so that only connections that end by themselves show it";
        }
        else if (Measured.IsFarEndInTheWay)
        {
            yield return "longer timeouts: connections were dead after the far end had sent something that did not arrive; their idle time may not be the reason";
        }
        else if (Measured.FarEndProbes is not null)
        {
            yield return $"longer timeouts: the far end {Speech}, which keeps idle connections known";
        }
        else if (Measured.MaximumAge is not null)
        {
            yield return "longer timeouts: no connection lives that long";
        }
        else if (Measured.Cut is null)
        {
            yield return "longer timeouts (--until), and whether what the far end sends first after an idle time arrives (inside-revives)";
        }
        if (Measured.Classes is [ExpiryClass.ResetOnNextPacket, _, ..])
        {
            yield return $"{string.Join(" or ", Measured.Classes.Select(IdleBehaviour.NameOf))}: some connections were reset and others got no answer; resets may be limited or lost";
        }
        else if (Measured.Classes.Count > 1)
        {
            yield return $"{string.Join(" or ", Measured.Classes.Select(IdleBehaviour.NameOf))}: they differ only for a SYN between the same ports, which could not be tried";
        }
        if (Measured is { Refreshes: [Refresh.PayloadOnly], IsPayloadTried: false })
        {
            yield return "whether payload restarts the clock: connections may also have a maximum age, whatever flows (--http or --send tells the two apart)";
        }
        if (Measured is { IsMeasured: true, Refreshes.Count: 0 })
        {
            yield return "whether probes restart the clock: "
                + (Measured.FarEndSpeech is not null ? "what the far end sends restarts it before that shows" : "the connections that were probed every second did not live long enough to tell");
        }
        if (Measured.Refreshes.Count > 1)
        {
            yield return "whether each direction has its own clock (per-direction): a probe and its answer restart both";
        }
        if (Measured is { Limited: { } why, IsMeasured: true })
        {
            yield return $"more precise values: no more connections could be opened ({why})";
        }
        else if (Measured is { Limited: { } limit, Cut: null })
        {
            yield return $"whether others behave alike: no more connections could be opened ({limit})";
        }
    }
}
