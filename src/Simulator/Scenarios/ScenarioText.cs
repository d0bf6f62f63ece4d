using System.Collections.Immutable;
using Keepalive.Config;
using Keepalive.Config.Reading;

namespace Keepalive.Simulator.Scenarios;

/// <summary>A scenario as it is written.</summary>
/// <param name="Text">YAML.</param>
/// <param name="Name">Its name.</param>
/// <param name="Directory">Where the files it names are.</param>
internal sealed record ScenarioText(string Text, string Name, string Directory)
{
    /// <summary>The name of standard input.</summary>
    public const string StandardInput = "-";

    private const string Here = ".";

    /// <summary>Reads it, once.</summary>
    /// <param name="path">A file; the name of a built-in scenario, where there is no such file; or <see cref="StandardInput"/>.</param>
    /// <param name="input">The standard input, where there is one.</param>
    /// <param name="diagnostics">Why there is none.</param>
    public static ScenarioText? Open(string path, Stream? input, out ImmutableArray<Diagnostic> diagnostics)
    {
        diagnostics = [];
        var isInput = path == StandardInput && input is not null;
        if (!isInput && !Path.Exists(path))
        {
            if (BuiltInScenarios.Find(path) is { } builtIn)
            {
                return new ScenarioText(builtIn, path, Here);
            }
            diagnostics = [NotThere(path)];
            return null;
        }
        var found = new DiagnosticBag();
        foreach (var (file, text) in new PolicyFiles(found, input).Read([path]))
        {
            return new ScenarioText(text, file, !isInput && Path.GetDirectoryName(path) is { Length: > 0 } directory ? directory : Here);
        }
        diagnostics = found.ToSorted();
        return null;
    }

    private static Diagnostic NotThere(string path)
    {
        var kind = DiagnosticCatalog.CannotRead;
        var fix = DidYouMean.Find(path, BuiltInScenarios.Names) is { } meant
            ? $"did you mean {meant}?"
            : "give a file, a name that 'keepalive-sim run --list' shows, or - for the standard input";
        return new Diagnostic(kind.Code, kind.Severity, new SourcePosition(path, 1, 1), "there is no such file, nor a built-in scenario of that name", fix);
    }
}
