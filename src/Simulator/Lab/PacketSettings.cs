using System.Globalization;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>The values of the balancer and the policy beside a picture, with those marked that made the difference.</summary>
internal static class PacketSettings
{
    private const string Balancer = "Balancer";
    private const string Policy = "Policy";

    /// <summary>The values of a balancer.</summary>
    /// <param name="preset">The balancer it behaves like; null if it has values of its own.</param>
    /// <param name="rule">Its rule.</param>
    /// <param name="expired">Whether a connection expired.</param>
    public static IEnumerable<ReportSetting> Of(BalancerPreset? preset, BalancerRule rule, bool expired)
    {
        var usual = preset?.IdleTimeout is { } seconds && TimeSpan.FromSeconds(seconds) != rule.IdleTimeout ? $"instead of {seconds}s" : "";
        if (preset is not null)
        {
            yield return new(Balancer, "behaves like", preset.Name, preset.Product);
        }
        yield return new(Balancer, "idle timeout", Words.Duration(rule.IdleTimeout), usual, expired);
        yield return new(Balancer, "on expiry", rule.Behaviour.ExpiryName, Meaning(rule.Behaviour.Expiry), expired);
        yield return new(Balancer, "restarted by", rule.Behaviour.RefreshName, rule.Behaviour.DropsProbes ? "keepalive probes are dropped" : "");
    }

    /// <summary>The values of the policies in a file or directory.</summary>
    /// <param name="path">The file or directory; null for no policy.</param>
    /// <param name="rule">The balancer's rule.</param>
    /// <param name="expired">Whether a connection expired.</param>
    /// <param name="probed">Whether a connection was probed.</param>
    public static IEnumerable<ReportSetting> Of(string? path, BalancerRule rule, bool expired, bool probed)
    {
        var policies = path is null ? [] : Read(path);
        if (policies.Count == 0)
        {
            yield return new(Policy, "keepalive", "none", "nothing probes an idle connection", expired);
        }
        foreach (var (name, settings) in policies)
        {
            var effective = settings.Or(KeepaliveSettings.LinuxDefaults);
            var timeout = Words.Duration(rule.IdleTimeout);
            var inTime = new KeepaliveSchedule(effective).Survives(rule.IdleTimeout, lostProbes: 0);
            yield return new(Policy, "name", name);
            yield return new(Policy, "time", Seconds(effective.Time), inTime ? $"less than the idle timeout of {timeout}: a probe comes in time"
                : $"not less than the idle timeout of {timeout}: the first probe comes too late", expired || probed);
            yield return new(Policy, "interval", Seconds(effective.Interval));
            yield return new(Policy, "probes", string.Create(CultureInfo.InvariantCulture, $"{effective.Probes}"));
        }
    }

    /// <summary>What a sender meets after expiry.</summary>
    public static string Meaning(ExpiryClass expiry) => expiry switch
    {
        ExpiryClass.SilentDrop => "packets sent then are dropped",
        ExpiryClass.ResetOnNextPacket => "the next sender gets a reset",
        ExpiryClass.ResetBoth => "both ends get a reset at once",
        ExpiryClass.FinBoth => "both ends see it closed at once",
        ExpiryClass.DropUntilSyn => "dropped, until a SYN opens it anew",
        ExpiryClass.InsideRevives => "dropped, until the client sends",
        _ => throw new ArgumentOutOfRangeException(nameof(expiry)),
    };

    private static List<(string Name, KeepaliveSettings Settings)> Read(string path)
    {
        var read = PolicyReader.Read([path]);
        return [.. PolicyCompiler.Compile(read.Resources, new CompilerOptions()).Policies.SelectMany(static policy => policy.Settings.Select(settings => (policy.Policy, settings)))];
    }

    private static string Seconds(int? seconds) => string.Create(CultureInfo.InvariantCulture, $"{seconds}s");
}
