using System.Text;

namespace Keepalive.Agent.Top;

/// <summary>How a part of the screen looks.</summary>
internal enum Tone
{
    Normal,
    Dim,
    Strong,
    Good,
    Warning,
    Bad,
    Head,
    Selected,
}

/// <summary>One line of the screen: texts with their tones, from left to right, never wider than the screen.</summary>
internal sealed class FrameLine
{
    private readonly List<(string Text, Tone Tone)> _parts = [];
    private readonly int _columns;

    public FrameLine(int columns) => _columns = Left = columns;

    public IReadOnlyList<(string Text, Tone Tone)> Parts => _parts;

    /// <summary>The columns that are left.</summary>
    public int Left { get; private set; }

    public FrameLine Add(string text, Tone tone = Tone.Normal)
    {
        text = Cells.Cut(text, Left);
        if (text.Length > 0)
        {
            Left -= Cells.Width(text);
            _parts.Add((text, tone));
        }
        return this;
    }

    /// <summary>Adds a text at the right edge if there is room for it.</summary>
    public FrameLine AddRight(string text, Tone tone = Tone.Normal)
    {
        var width = Cells.Width(text);
        return width < Left ? Add(new string(' ', Left - width)).Add(text, tone) : this;
    }

    /// <summary>The same text in one tone, up to the right edge.</summary>
    public FrameLine Painted(Tone tone)
    {
        var line = new FrameLine(_columns).Add(ToString(), tone);
        return line.Add(new string(' ', line.Left), tone);
    }

    public override string ToString()
    {
        var text = new StringBuilder();
        _parts.ForEach(part => text.Append(part.Text));
        return text.ToString();
    }
}
