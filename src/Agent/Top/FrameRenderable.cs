using Spectre.Console;
using Spectre.Console.Rendering;

namespace Keepalive.Agent.Top;

/// <summary>The lines of the view for Spectre.Console. Texts go to it as segments, never as markup.</summary>
internal sealed class FrameRenderable(IReadOnlyList<FrameLine> lines) : IRenderable
{
    private static readonly Style[] s_styles = [.. Enum.GetValues<Tone>().Select(StyleOf)];

    public Measurement Measure(RenderOptions options, int maxWidth) => new(maxWidth, maxWidth);

    public IEnumerable<Segment> Render(RenderOptions options, int maxWidth)
    {
        for (var i = 0; i < lines.Count; i++)
        {
            // Parts of one look are one segment: Spectre.Console's work grows with their number.
            var text = "";
            var tone = Tone.Normal;
            foreach (var part in lines[i].Parts)
            {
                if (part.Tone != tone && text.Length > 0)
                {
                    yield return new Segment(text, s_styles[(int)tone]);
                    text = "";
                }
                (text, tone) = (text + part.Text, part.Tone);
            }
            if (text.Length > 0)
            {
                yield return new Segment(text, s_styles[(int)tone]);
            }
            // What an earlier frame has left on the line.
            if (lines[i].Left > 0)
            {
                yield return new Segment(new string(' ', lines[i].Left), Style.Plain);
            }
            if (i < lines.Count - 1)
            {
                yield return Segment.LineBreak;
            }
        }
    }

    /// <summary>The sixteen colours that every terminal has, in its own shades. Nothing is told by colour alone.</summary>
    private static Style StyleOf(Tone tone) => tone switch
    {
        Tone.Dim => new Style(decoration: Decoration.Dim),
        Tone.Strong => new Style(decoration: Decoration.Bold),
        Tone.Good => new Style(Color.Green),
        Tone.Warning => new Style(Color.Olive),
        Tone.Bad => new Style(Color.Red, decoration: Decoration.Bold),
        Tone.Head => new Style(decoration: Decoration.Bold | Decoration.Underline),
        Tone.Selected => new Style(decoration: Decoration.Invert),
        _ => Style.Plain,
    };
}
