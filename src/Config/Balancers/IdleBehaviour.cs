using System.Collections.Immutable;

namespace Keepalive.Config.Balancers;

/// <summary>How a balancer treats a quiet connection, apart from how long it waits.</summary>
/// <param name="Expiry">The behaviour when the idle timeout has passed.</param>
/// <param name="Refresh">The packets that restart the idle clock.</param>
/// <remarks>
/// Eight named classes stand for what is found in practice. Six are a way to expire that any packet puts off. The other two are about the
/// clock, and take the way to expire of the products that have it: a clock for each direction is found in packet filters that drop, a clock
/// that only payload restarts in proxies that close.
/// </remarks>
public readonly record struct IdleBehaviour(ExpiryClass Expiry, Refresh Refresh)
{
    /// <summary>Whether keepalive probes are dropped, so that nobody answers them.</summary>
    public bool DropsProbes { get; init; }

    private static readonly ImmutableArray<(ExpiryClass Expiry, string Name)> s_expiryNames =
    [
        (ExpiryClass.SilentDrop, "silent-drop"),
        (ExpiryClass.ResetOnNextPacket, "reset-on-next-packet"),
        (ExpiryClass.ResetBoth, "reset-both"),
        (ExpiryClass.FinBoth, "fin-both"),
        (ExpiryClass.DropUntilSyn, "drop-until-syn"),
        (ExpiryClass.InsideRevives, "inside-revives"),
    ];

    private static readonly ImmutableArray<(Refresh Refresh, string Name)> s_refreshNames =
    [
        (Refresh.AnyPacket, "any"),
        (Refresh.PayloadOnly, "payload"),
        (Refresh.PerDirection, "per-direction"),
    ];

    /// <summary>The eight classes by name.</summary>
    public static ImmutableArray<(string Name, IdleBehaviour Behaviour)> Classes { get; } =
    [
        .. s_expiryNames.Select(entry => (entry.Name, new IdleBehaviour(entry.Expiry, Refresh.AnyPacket))),
        ("per-direction", new IdleBehaviour(ExpiryClass.SilentDrop, Refresh.PerDirection)),
        ("payload-only", new IdleBehaviour(ExpiryClass.FinBoth, Refresh.PayloadOnly)),
    ];

    /// <summary>The way to expire as it is written in commands and files.</summary>
    public string ExpiryName => NameOf(Expiry);

    /// <summary>The refresh as it is written in commands and files.</summary>
    public string RefreshName => NameOf(Refresh);

    /// <summary>A class by its name.</summary>
    public static IdleBehaviour? Find(string name)
    {
        foreach (var entry in Classes)
        {
            if (entry.Name == name)
            {
                return entry.Behaviour;
            }
        }

        return null;
    }

    /// <summary>Finds a refresh by its name.</summary>
    public static Refresh? FindRefresh(string name)
    {
        foreach (var entry in s_refreshNames)
        {
            if (entry.Name == name)
            {
                return entry.Refresh;
            }
        }

        return null;
    }

    /// <summary>The names of what refreshes.</summary>
    public static ImmutableArray<string> RefreshWords { get; } = [.. s_refreshNames.Select(entry => entry.Name)];

    /// <summary>The name of an expiry.</summary>
    public static string NameOf(ExpiryClass expiry) => s_expiryNames.First(entry => entry.Expiry == expiry).Name;

    /// <summary>The name of a refresh.</summary>
    public static string NameOf(Refresh refresh) => s_refreshNames.First(entry => entry.Refresh == refresh).Name;
}
