namespace Keepalive.Simulator.Pages;

/// <summary>A chart before it is drawn: what is shown, in the units of its axes.</summary>
internal sealed record Chart
{
    /// <summary>The heading.</summary>
    public required string Title { get; init; }

    /// <summary>The same in words, for those who do not see it.</summary>
    public required string Words { get; init; }

    public required ChartScale X { get; init; }

    public required ChartScale Y { get; init; }

    public IReadOnlyList<ChartLine> Lines { get; init; } = [];

    /// <summary>Shaded parts of the x axis.</summary>
    public IReadOnlyList<ChartBand> Bands { get; init; } = [];

    /// <summary>Lines across the whole chart.</summary>
    public IReadOnlyList<ChartMark> Marks { get; init; } = [];

    /// <summary>Whether it is one of several that are compared.</summary>
    public bool IsSmall { get; init; }
}

/// <summary>A line of a chart, with its name at its end.</summary>
/// <param name="Name">The name; empty for none.</param>
/// <param name="Colour">Its colour.</param>
/// <param name="Shape">How it is drawn.</param>
/// <param name="Points">Its points, from left to right.</param>
internal sealed record ChartLine(string Name, ChartColour Colour, ChartShape Shape, IReadOnlyList<ChartPoint> Points)
{
    /// <summary>The number of the mark of its points: lines with one colour differ by it.</summary>
    public int Mark { get; init; }

    /// <summary>The width of bars.</summary>
    public double Width { get; init; } = 0.8;
}

/// <summary>A point, and what is said of it; nothing is said where the text is null.</summary>
internal readonly record struct ChartPoint(double X, double Y, string? Text = null);

/// <summary>A shaded part of the x axis.</summary>
internal sealed record ChartBand(double From, double To, string Name);

/// <summary>A line across the whole chart, at a place of one axis, with its name.</summary>
internal sealed record ChartMark(double At, bool IsVertical, string Name, ChartColour Colour);

/// <summary>How a line is drawn.</summary>
internal enum ChartShape
{
    /// <summary>Points joined by a line.</summary>
    Points,

    /// <summary>Points alone.</summary>
    Scatter,

    /// <summary>A line without points.</summary>
    Line,

    /// <summary>A computed line.</summary>
    Dashed,

    /// <summary>From each point on the same until the next.</summary>
    Steps,

    /// <summary>A bar at each point.</summary>
    Bars,
}

/// <summary>The colours of charts by what they mean. A page has each for light and dark; a picture alone is light.</summary>
internal enum ChartColour
{
    Ink,
    Soft,
    Grid,
    Safe,
    Good,
    Bad,
    Series1,
    Series2,
    Series3,
    Series4,
    Series5,
    Series6,
}
