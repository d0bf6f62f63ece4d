using System.Globalization;
using System.Xml;
using OxyPlot;
using OxyPlot.Annotations;
using OxyPlot.Axes;
using OxyPlot.Series;

namespace Keepalive.Simulator.Pages;

/// <summary>Draws charts with OxyPlot's own SVG writer.</summary>
/// <remarks>OxyPlot measures text in another font than the viewer's, and cuts the names in its legends. So lines have their names at their ends, in a margin for
/// the longest.</remarks>
internal sealed class ChartDrawing
{
    /// <summary>The width of a character of 12 pixels, at most of usual text.</summary>
    private const double Character = 7.4;
    private const double LabelHeight = 14;
    private const double LeftMargin = 54;
    private const int MaxLabel = 26;

    private static readonly OxyColor[] s_colours =
    [
        OxyColor.Parse("#1a1c1e"), OxyColor.Parse("#565b61"), OxyColor.Parse("#e8e8e3"), OxyColor.Parse("#e2f3ec"), OxyColor.Parse("#00724f"), OxyColor.Parse("#c0331a"),
        OxyColor.Parse("#0072b2"), OxyColor.Parse("#b45309"), OxyColor.Parse("#007d5a"), OxyColor.Parse("#a8457f"), OxyColor.Parse("#46515c"), OxyColor.Parse("#8a6100"),
    ];

    private static readonly MarkerType[] s_marks = [MarkerType.Circle, MarkerType.Square, MarkerType.Diamond, MarkerType.Triangle];

    private readonly PlotModel _model;
    private readonly List<(ChartLine Line, Axis X, Axis Y)> _lines = [];
    private readonly List<(ChartMark Mark, Axis X, Axis Y)> _marks = [];

    private ChartDrawing(IReadOnlyList<Chart> panels, string? title)
    {
        var first = panels[0];
        var longest = panels.SelectMany(static panel => panel.Lines).Select(static line => Short(line.Name).Length)
            .Concat(panels.SelectMany(static panel => panel.Marks).Where(static mark => !mark.IsVertical).Select(static mark => Short(mark.Name).Length)).DefaultIfEmpty(0).Max();
        _model = new PlotModel
        {
            Culture = CultureInfo.InvariantCulture,
            DefaultFont = "sans-serif",
            DefaultFontSize = 12,
            Title = title is null ? null : Clean(title),
            TitleFontSize = 15,
            TitleColor = Of(ChartColour.Ink),
            TextColor = Of(ChartColour.Soft),
            PlotAreaBorderThickness = new OxyThickness(0),
            Padding = new OxyThickness(0, title is null ? 0 : 12, 0, 0),
            PlotMargins = new OxyThickness(LeftMargin, title is null ? 32 : 44, longest > 0 ? 12 + (longest * Character) : 16, 38),
        };
        var x = AxisOf(first.X, AxisPosition.Bottom);
        _model.Axes.Add(x);
        for (var i = 0; i < panels.Count; i++)
        {
            var y = AxisOf(panels[i].Y, AxisPosition.Left);
            // The uppermost panel is the first.
            (y.Key, y.StartPosition, y.EndPosition) = ($"y{i}", 1 - ((i + 1.0) / panels.Count), 1 - (i / (double)panels.Count) - (i > 0 ? 0.09 : 0));
            _model.Axes.Add(y);
            Add(panels[i], x, y);
        }
    }

    /// <summary>Draws charts above one another, with the x axis of the first, as a file of its own.</summary>
    public static string Picture(IReadOnlyList<Chart> panels, string title, double width, double height)
    {
        var drawing = new ChartDrawing(panels, title);
        drawing._model.Background = OxyColors.White;
        drawing.Label(width, height);
        return SvgForPage.Unclipped(drawing.Write(width, height)) + "\n";
    }

    /// <summary>Draws a chart for a page.</summary>
    /// <param name="chart">The chart.</param>
    /// <param name="width">Its width.</param>
    /// <param name="height">Its height.</param>
    /// <param name="points">The points that something is said of, where they are in the picture.</param>
    public static string ForPage(Chart chart, double width, double height, out IReadOnlyList<ChartPoint> points)
    {
        var drawing = new ChartDrawing([chart], null);
        drawing.Label(width, height);
        var svg = drawing.Write(width, height);
        points = [.. drawing.Places()];
        return svg;
    }

    /// <summary>The colour of a page, as the picture has it.</summary>
    public static string Hexadecimal(ChartColour colour) => $"{Of(colour).R:x2}{Of(colour).G:x2}{Of(colour).B:x2}";

    /// <summary>The colour of the line with a number. Lines with one colour have different marks.</summary>
    public static ChartColour Series(int number) => ChartColour.Series1 + (number % 6);

    private static OxyColor Of(ChartColour colour) => s_colours[(int)colour];

    private static string Short(string name) => Clean(name.Length <= MaxLabel ? name : string.Concat(name.AsSpan(0, MaxLabel - 1), "…"));

    /// <summary>A text as XML can have it: a file's name may have any character.</summary>
    private static string Clean(string text) => string.Concat(text.Select(static character => XmlConvert.IsXmlChar(character) ? character : '\ufffd'));

    private static LinearAxis AxisOf(ChartScale scale, AxisPosition position) => new()
    {
        Position = position,
        Minimum = scale.Least,
        Maximum = scale.Most,
        MajorStep = scale.Step,
        MinorStep = scale.Step,
        MinorTickSize = 0,
        MajorTickSize = position == AxisPosition.Bottom ? 4 : 0,
        MajorGridlineStyle = scale.Words is null ? LineStyle.Solid : LineStyle.None,
        MajorGridlineColor = Of(ChartColour.Grid),
        TicklineColor = Of(ChartColour.Soft),
        AxislineStyle = position == AxisPosition.Bottom ? LineStyle.Solid : LineStyle.None,
        AxislineColor = Of(ChartColour.Soft),
        TextColor = Of(ChartColour.Soft),
        TitleColor = Of(ChartColour.Soft),
        AxisTitleDistance = 6,
        Title = position == AxisPosition.Bottom ? Clean(scale.Name) : null,
        LabelFormatter = value => Short(scale.Text(value)),
    };

    private string Write(double width, double height) => new SvgExporter { Width = width, Height = height, IsDocument = false }.ExportToString(_model);

    private void Add(Chart chart, Axis x, Axis y)
    {
        // Above the axis, where it can be read without turning the head, and hides no tick.
        var name = Text(Clean(chart.Y.Name), new DataPoint(chart.X.Least, chart.Y.Most), y, ChartColour.Soft, HorizontalAlignment.Left, VerticalAlignment.Bottom);
        name.Offset = new ScreenVector(-LeftMargin + 8, -14);
        _model.Annotations.Add(name);
        foreach (var band in chart.Bands)
        {
            _model.Annotations.Add(new RectangleAnnotation
            {
                YAxisKey = y.Key,
                MinimumX = band.From,
                MaximumX = band.To,
                Fill = Of(ChartColour.Safe),
                Layer = AnnotationLayer.BelowAxes,
            });
            _model.Annotations.Add(Text(band.Name, new DataPoint(band.From, chart.Y.Most), y, ChartColour.Good, HorizontalAlignment.Left, VerticalAlignment.Top));
        }
        foreach (var mark in chart.Marks)
        {
            _marks.Add((mark, x, y));
            _model.Annotations.Add(new LineAnnotation
            {
                YAxisKey = y.Key,
                Type = mark.IsVertical ? LineAnnotationType.Vertical : LineAnnotationType.Horizontal,
                X = mark.At,
                Y = mark.At,
                Color = Of(mark.Colour),
                LineStyle = LineStyle.Dash,
                StrokeThickness = 1.5,
            });
        }
        foreach (var line in chart.Lines)
        {
            _lines.Add((line, x, y));
            _model.Series.Add(SeriesOf(line, y));
        }
    }

    private static XYAxisSeries SeriesOf(ChartLine line, Axis y)
    {
        if (line.Shape == ChartShape.Bars)
        {
            var bars = new RectangleBarSeries { YAxisKey = y.Key, FillColor = Of(line.Colour), StrokeThickness = 0 };
            foreach (var point in line.Points)
            {
                bars.Items.Add(new RectangleBarItem(point.X - (line.Width / 2), 0, point.X + (line.Width / 2), point.Y));
            }
            return bars;
        }
        var (mark, hasMarks) = (s_marks[line.Mark % s_marks.Length], line.Shape is ChartShape.Points or ChartShape.Scatter);
        var drawn = line.Shape == ChartShape.Steps ? new StairStepSeries { VerticalStrokeThickness = 1.8, VerticalLineStyle = LineStyle.Solid } : new LineSeries();
        drawn.YAxisKey = y.Key;
        drawn.Color = Of(line.Colour);
        drawn.StrokeThickness = line.Shape == ChartShape.Dashed ? 1.5 : 1.8;
        drawn.LineStyle = line.Shape switch { ChartShape.Scatter => LineStyle.None, ChartShape.Dashed => LineStyle.Dash, _ => LineStyle.Solid };
        drawn.MarkerType = hasMarks ? mark : MarkerType.None;
        drawn.MarkerSize = mark == MarkerType.Circle ? 3 : 3.4;
        drawn.MarkerFill = Of(line.Colour);
        drawn.Points.AddRange(line.Points.Select(static point => new DataPoint(point.X, point.Y)));
        return drawn;
    }

    private static TextAnnotation Text(string text, DataPoint at, Axis y, ChartColour colour, HorizontalAlignment horizontal, VerticalAlignment vertical, double right = 4) => new()
    {
        Text = Clean(text),
        TextPosition = at,
        YAxisKey = y.Key,
        TextColor = Of(colour),
        TextHorizontalAlignment = horizontal,
        TextVerticalAlignment = vertical,
        Offset = new ScreenVector(horizontal == HorizontalAlignment.Right ? -right : right, vertical == VerticalAlignment.Top ? 3 : 0),
        StrokeThickness = 0,
        Stroke = OxyColors.Transparent,
        Padding = new OxyThickness(0),
        ClipByXAxis = false,
        ClipByYAxis = false,
    };

    /// <summary>Puts the names of lines at their ends, those at one height above one another. Where the ends are is known once it was drawn.</summary>
    private void Label(double width, double height)
    {
        _ = Write(width, height);
        var labels = new List<(string Text, double At, Axis Y, ChartColour Colour)>();
        foreach (var (line, _, y) in _lines)
        {
            if (line.Name.Length > 0 && line.Points.Count > 0)
            {
                labels.Add((Short(line.Name), y.Transform(line.Points[^1].Y), y, line.Colour));
            }
        }
        foreach (var (mark, x, y) in _marks)
        {
            if (mark.IsVertical)
            {
                var isRight = x.Transform(mark.At) > (x.ScreenMin.X + x.ScreenMax.X) / 2;
                _model.Annotations.Add(Text(
                    mark.Name, new DataPoint(mark.At, y.ActualMaximum), y, mark.Colour, isRight ? HorizontalAlignment.Right : HorizontalAlignment.Left, VerticalAlignment.Top));
            }
            else
            {
                labels.Add((Short(mark.Name), y.Transform(mark.At), y, mark.Colour));
            }
        }
        foreach (var panel in labels.GroupBy(static label => label.Y).ToList())
        {
            Spread(panel);
        }
    }

    private void Spread(IGrouping<Axis, (string Text, double At, Axis Y, ChartColour Colour)> panel)
    {
        var y = panel.Key;
        var (top, bottom) = (Math.Min(y.ScreenMin.Y, y.ScreenMax.Y), Math.Max(y.ScreenMin.Y, y.ScreenMax.Y));
        var inOrder = panel.OrderBy(static label => label.At).ToList();
        var places = new double[inOrder.Count];
        for (var i = 0; i < places.Length; i++)
        {
            places[i] = Math.Max(Math.Clamp(inOrder[i].At, top, bottom), i == 0 ? top : places[i - 1] + LabelHeight);
        }
        for (var i = places.Length - 1; i >= 0; i--)
        {
            places[i] = Math.Min(places[i], i == places.Length - 1 ? bottom : places[i + 1] - LabelHeight);
        }
        var x = _model.Axes[0];
        for (var i = 0; i < places.Length; i++)
        {
            _model.Annotations.Add(Text(
                inOrder[i].Text, new DataPoint(x.ActualMaximum, y.InverseTransform(places[i])), y, inOrder[i].Colour, HorizontalAlignment.Left, VerticalAlignment.Middle, right: 7));
        }
    }

    private IEnumerable<ChartPoint> Places()
    {
        foreach (var (line, x, y) in _lines)
        {
            foreach (var point in line.Points.Where(static point => point.Text is not null))
            {
                yield return new ChartPoint(Math.Round(x.Transform(point.X), 1), Math.Round(y.Transform(point.Y), 1), point.Text);
            }
        }
    }
}
