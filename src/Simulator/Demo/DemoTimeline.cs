using System.Globalization;

namespace Keepalive.Simulator.Demo;

/// <summary>The output of the demo: acts with their events, and whether the results are as described.</summary>
internal sealed class DemoTimeline(TextWriter output, bool colours, Func<TimeSpan> clock)
{
    private const string Indent = "           ";

    /// <summary>Claims that did not hold.</summary>
    public int Broken { get; private set; }

    public void Title(string text) => output.WriteLine(Paint(text, "1"));

    public void Act(string text)
    {
        output.WriteLine();
        output.WriteLine(Paint(text, "1"));
    }

    public void Text(string text) => Lines(text, "");

    /// <summary>A file as it is.</summary>
    public void File(string text) => Lines(text, "  ");

    /// <summary>Somebody did something, now or a little while ago.</summary>
    public void Line(string who, string text, string colour = "0", TimeSpan? time = null) => output.WriteLine(
        string.Create(CultureInfo.InvariantCulture, $"{(time ?? clock()).TotalSeconds,7:0.0} s  ") + Paint($"{who,-9}", "36") + " " + Paint(text, colour));

    /// <summary>Says what was to be seen, and whether it was.</summary>
    public void Claim(bool holds, string text)
    {
        output.WriteLine(Indent + (holds ? Paint("✓ ", "32") : Paint("✗ NOT SO: ", "1;31")) + text);
        Broken += holds ? 0 : 1;
    }

    /// <summary>A last line.</summary>
    public void Close(string text)
    {
        output.WriteLine();
        output.WriteLine(Paint(text, Broken == 0 ? "1;32" : "1;31"));
    }

    private void Lines(string text, string more)
    {
        foreach (var line in text.TrimEnd('\n').Split('\n'))
        {
            output.WriteLine((Indent + more + line).TrimEnd());
        }
    }

    private string Paint(string text, string colour) => colours && colour != "0" ? $"\e[{colour}m{text}\e[0m" : text;
}
