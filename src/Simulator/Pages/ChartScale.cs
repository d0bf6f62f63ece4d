using System.Globalization;

namespace Keepalive.Simulator.Pages;

/// <summary>An axis: from 0 or the least value to the most, with round ticks and a unit.</summary>
/// <param name="Name">Its name, with the unit.</param>
/// <param name="Least">The least value.</param>
/// <param name="Most">The most.</param>
/// <param name="Step">The distance of two ticks.</param>
internal sealed record ChartScale(string Name, double Least, double Most, double Step)
{
    /// <summary>What each whole number stands for; null for numbers.</summary>
    public IReadOnlyList<string>? Words { get; private init; }

    /// <summary>A scale for values that begin at 0.</summary>
    /// <param name="name">The name.</param>
    /// <param name="most">The largest value.</param>
    /// <param name="ticks">About so many ticks.</param>
    public static ChartScale Numbers(string name, double most, int ticks = 5)
    {
        var (_, to, step) = Around(0, most, ticks, double.IsInteger(most) && most < 5);
        return new ChartScale(name, 0, to, step);
    }

    /// <summary>A scale for values that begin anywhere; at 0 if that is near.</summary>
    public static ChartScale Between(string name, double least, double most, int ticks = 5)
    {
        var (from, to, step) = Around(least <= (most - least) * 0.7 ? 0 : least, most, ticks, isWhole: false);
        return new ChartScale(name, Math.Max(from, Math.Min(0, least)), to, step);
    }

    /// <summary>A scale of times, in the unit in which they are easy to read.</summary>
    /// <param name="name">The name.</param>
    /// <param name="least">The least, seconds.</param>
    /// <param name="most">The most, seconds.</param>
    /// <param name="seconds">The unit in seconds.</param>
    /// <param name="isExact">Whether the axis ends where the values do.</param>
    /// <param name="ticks">About so many ticks.</param>
    public static ChartScale Time(string name, double least, double most, out double seconds, bool isExact = false, int ticks = 6)
    {
        (seconds, var unit) = UnitOf(most);
        var (from, to) = (least / seconds, most / seconds);
        var scale = Between($"{name}, {unit}", from, to, ticks);
        if (unit == "h" && StepOf([1, 2, 3, 6, 12, 24], (scale.Most - scale.Least) / ticks) is { } hours)
        {
            scale = scale with { Step = hours, Most = Math.Ceiling(to / hours - 1e-9) * hours };
        }
        return isExact && to > scale.Least ? scale with { Most = to } : scale;
    }

    /// <summary>A scale of things that are no numbers, in the order in which they are given.</summary>
    public static ChartScale Of(string name, IReadOnlyList<string> words) =>
        new(name, -0.5, words.Count - 0.5, Math.Max(1, (words.Count + 7) / 8)) { Words = words };

    /// <summary>The unit in which times up to so many seconds are easy to read.</summary>
    public static (double Seconds, string Name) UnitOf(double most) => most switch
    {
        <= 900 => (1, "s"),
        <= 3 * 3600 => (60, "min"),
        <= 5 * 86400 => (3600, "h"),
        _ => (86400, "days"),
    };

    /// <summary>A value as its tick has it.</summary>
    public string Text(double value) => Words is null ? value.ToString("#,0.#########", CultureInfo.InvariantCulture)
        : (int)Math.Round(value) is var index && Math.Abs(value - index) < 0.01 && index >= 0 && index < Words.Count ? Words[index] : "";

    private static double? StepOf(double[] steps, double rough) => Array.Find(steps, step => step >= rough) is var found && found > 0 && rough > 0.5 ? found : null;

    private static (double From, double To, double Step) Around(double least, double most, int ticks, bool isWhole)
    {
        if (!(most > least))
        {
            most = least + (least == 0 ? 1 : Math.Abs(least) * 0.1);
        }
        var rough = (most - least) / ticks;
        var power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        var step = power * (rough / power) switch { <= 1.000001 => 1, <= 2.000001 => 2, <= 5.000001 => 5, _ => 10 };
        step = isWhole ? Math.Max(1, step) : step;
        return (Math.Floor((least / step) + 1e-9) * step, Math.Ceiling((most / step) - 1e-9) * step, step);
    }
}
