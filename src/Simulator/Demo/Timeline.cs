using System.Diagnostics;
using System.Globalization;

namespace Keepalive.Simulator.Demo;

/// <summary>What the demo prints: numbered steps with the time, what was run, what was seen, and whether it is what was announced.</summary>
internal sealed class Timeline(TextWriter output, bool colours)
{
    private const string Indent = "         ";

    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private int _step;

    /// <summary>Claims that did not hold.</summary>
    public int Broken { get; private set; }

    public TimeSpan Elapsed => _clock.Elapsed;

    /// <summary>Colours are for terminals; NO_COLOR (no-color.org) forbids them there, too.</summary>
    public static bool WantsColours() =>
        !Console.IsOutputRedirected && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
        && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");

    public void Title(string text) => output.WriteLine(Paint(text, "1"));

    public void Step(string text)
    {
        output.WriteLine();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{_clock.Elapsed.TotalSeconds,5:0.0} s  ") + Paint($"{++_step}. {text}", "1"));
    }

    public void Text(string text) => Lines(text, "");

    /// <summary>A command line as it was run.</summary>
    public void Command(IEnumerable<string> command) => output.WriteLine(Indent + Paint($"$ {string.Join(' ', command)}", "36"));

    /// <summary>What a program wrote.</summary>
    public void Output(string text) => Lines(text, "  ");

    /// <summary>Says what is to be seen, and whether it is.</summary>
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

    private string Paint(string text, string colour) => colours ? $"\e[{colour}m{text}\e[0m" : text;
}
