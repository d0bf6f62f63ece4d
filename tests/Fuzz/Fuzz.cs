using System.Globalization;

namespace Keepalive.Testbed;

/// <summary>The number of random cases, and their seed.</summary>
/// <remarks>A test run tries a tenth of the cases with a fixed seed. <c>make fuzz</c> sets KEEPALIVE_FUZZ to a new seed and tries all
/// cases.</remarks>
internal static class Fuzz
{
    /// <summary>The trait that <c>make fuzz</c> selects tests by.</summary>
    public const string Trait = "Fuzz";

    private const int Times = 10;

    private static readonly int? s_fresh = Environment.GetEnvironmentVariable("KEEPALIVE_FUZZ") is { Length: > 0 } seed
        ? int.Parse(seed, CultureInfo.InvariantCulture) : null;

    /// <summary>The number of cases to try of <paramref name="all"/>.</summary>
    public static int Cases(int all) => Cases(all, usually: all / Times);

    /// <summary>The number of cases to try: <paramref name="usually"/> in a test run, otherwise all.</summary>
    public static int Cases(int all, int usually) => s_fresh is null ? usually : all;

    /// <summary>The first seed: <paramref name="usual"/> unless KEEPALIVE_FUZZ sets another one.</summary>
    public static int Seed(int usual) => s_fresh is { } fresh ? unchecked(usual + fresh) : usual;

    /// <summary>The settings of a property: this number of cases in a test run, otherwise ten times as many.</summary>
    public static FsCheck.Config Property(int usually) => FsCheck.Config.QuickThrowOnFailure
        .WithMaxTest(Cases(usually * Times))
        .WithReplay(new FsCheck.Replay(new FsCheck.Rnd((ulong)Seed(1)), null));
}
