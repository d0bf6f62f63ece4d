namespace Keepalive.Config.Resources;

/// <summary>The annotations by which the agent's own settings ride on resources whose schema has no room for them.</summary>
public static class AgentAnnotations
{
    /// <summary>The prefix of all of them.</summary>
    public const string Prefix = "keepalive-agent/";

    /// <summary>On a destination: where its connections really go, such as <c>203.0.113.10:15443, 198.51.100.0/24</c>.</summary>
    public const string Addresses = Prefix + "addresses";

    /// <summary>On a ConnectionPolicy: <c>tighten</c>, <c>keep</c> or <c>replace</c>; see <see cref="ExistingMode"/>.</summary>
    public const string Existing = Prefix + "existing";

    /// <summary>On a policy: <c>keep</c>, <c>raise</c>, <c>skip</c> or a duration; see <see cref="UserTimeoutChoice"/>.</summary>
    public const string UserTimeout = Prefix + "user-timeout";

    /// <summary>On a ConnectionPolicy: the workloads whose connections it is for, such as <c>namespace=shop,app=web</c>; see
    /// <see cref="WorkloadSelector"/>.</summary>
    public const string From = Prefix + "from";

    /// <summary>On a pod or a namespace: time, interval and probes of its own connections, such as <c>60s/10s/6</c>.</summary>
    public const string Keepalive = Prefix + "keepalive";

    /// <summary>Reads the value of <see cref="Existing"/>.</summary>
    public static bool TryParseExisting(string text, out ExistingMode mode)
    {
        mode = text switch { "keep" => ExistingMode.Keep, "replace" => ExistingMode.Replace, _ => ExistingMode.Tighten };
        return text is "tighten" or "keep" or "replace";
    }
}
