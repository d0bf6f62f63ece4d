using System.Globalization;

namespace Keepalive.Testbed;

/// <summary>How many random cases the tests try, and from which seed on.</summary>
/// <remarks>A test run tries a tenth of them, the same ones each time. <c>make fuzz</c> sets KEEPALIVE_FUZZ to a new seed and tries all.</remarks>
internal static class Fuzz
{
    /// <summary>The trait by which <c>make fuzz</c> finds the tests that have more to try.</summary>
    public const string Trait = "Fuzz";

    private const int Times = 10;

    private static readonly int? s_fresh = Environment.GetEnvironmentVariable("KEEPALIVE_FUZZ") is { Length: > 0 } seed
        ? int.Parse(seed, CultureInfo.InvariantCulture) : null;

    /// <summary>How many cases to try of <paramref name="all"/>.</summary>
    public static int Cases(int all) => Cases(all, usually: all / Times);

    /// <summary>How many cases to try: so many of all as a test run has the time for.</summary>
    public static int Cases(int all, int usually) => s_fresh is null ? usually : all;

    /// <summary>The seed to begin with; <paramref name="usual"/> unless there is a new one.</summary>
    public static int Seed(int usual) => s_fresh is { } fresh ? unchecked(usual + fresh) : usual;

    /// <summary>How a property is checked: with so many cases in a test run, and ten times as many otherwise.</summary>
    public static FsCheck.Config Property(int usually) => FsCheck.Config.QuickThrowOnFailure
        .WithMaxTest(Cases(usually * Times))
        .WithReplay(new FsCheck.Replay(new FsCheck.Rnd((ulong)Seed(1)), null));
}
