using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Keepalive.Config.Reading;

namespace Keepalive.Config.Balancers;

/// <summary>A balancer of one's own in a YAML file, such as <c>keepalive-sim discover --out</c> writes.</summary>
/// <remarks>
/// <code>
/// name: office              # optional: the file's name
/// idleTimeout: 346100ms
/// expiry: reset-on-next-packet
/// refresh: any              # optional: any
/// </code>
/// </remarks>
public static partial class BalancerFile
{
    private static readonly TimeSpan s_shortest = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_longest = TimeSpan.FromDays(30);

    /// <summary>Whether a word is the path of a file. No balancer has a name like that.</summary>
    public static bool IsPath(string word)
    {
        ArgumentNullException.ThrowIfNull(word);
        return word.Contains('/', StringComparison.Ordinal) || word.EndsWith(".yaml", StringComparison.Ordinal) || word.EndsWith(".yml", StringComparison.Ordinal);
    }

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="problems">Its errors; empty if there are none.</param>
    /// <returns>The balancer, whose own timeout is unknown, and its idle timeout; null if there is an error.</returns>
    public static (BalancerPreset Preset, TimeSpan IdleTimeout)? Read(string path, out ImmutableArray<Diagnostic> problems)
    {
        ArgumentNullException.ThrowIfNull(path);
        var diagnostics = new DiagnosticBag();
        var found = Directory.Exists(path) ? NotAFile(path, diagnostics)
            : new PolicyFiles(diagnostics).Read([path]).Select(file => ReadText(file.Text, path, diagnostics)).FirstOrDefault();
        problems = diagnostics.ToSorted();
        return diagnostics.ErrorCount == 0 ? found : null;
    }

    private static (BalancerPreset, TimeSpan)? NotAFile(string path, DiagnosticBag diagnostics)
    {
        diagnostics.Report(DiagnosticCatalog.CannotRead, new SourcePosition(path, 1, 1), "is a directory", "give a file");
        return null;
    }

    private static (BalancerPreset, TimeSpan)? ReadText(string text, string path, DiagnosticBag diagnostics)
    {
        if (!TextCheck.Check(text, path, diagnostics))
        {
            return null;
        }

        text = TextCheck.Normalize(text);
        var documents = DocumentSplitter.Split(text).ToList();
        var roots = documents.Count == 1 ? new YamlTreeReader(path, text, documents[0], diagnostics).Read(InputLimits.Nodes) : [];
        if (diagnostics.ErrorCount > 0)
        {
            return null;
        }

        if (roots is not [MappingNode root])
        {
            diagnostics.Report(DiagnosticCatalog.WrongType, new SourcePosition(path, 1, 1), "balancer: must be one mapping",
                "write idleTimeout: and expiry:, as 'keepalive-sim discover --out' does");
            return null;
        }

        return ReadFields(new ObjectReader(root, "", new ResourceReport(diagnostics, "balancer")), path);
    }

    private static (BalancerPreset, TimeSpan)? ReadFields(ObjectReader reader, string path)
    {
        var name = NameOf(reader, path);
        var timeout = ReadTimeout(reader);
        var behaviour = reader.Require("expiry")
            ? reader.Word("expiry", default, [.. IdleBehaviour.Classes.Select(static entry => (entry.Name, entry.Behaviour))])
            : default;
        behaviour = behaviour with
        {
            Refresh = reader.Word("refresh", behaviour.Refresh, [.. IdleBehaviour.RefreshWords.Select(static word => (word, IdleBehaviour.FindRefresh(word)!.Value))]),
        };
        reader.Close();
        return timeout is not { } idle ? null : (new BalancerPreset
        {
            Name = name,
            Product = $"{name} ({path})",
            IdleTimeout = null,
            Expiry = behaviour.Expiry,
            Refresh = behaviour.Refresh,
            Sources = [],
        }, idle);
    }

    private static string NameOf(ObjectReader reader, string path)
    {
        if (reader.String("name") is not { } written)
        {
            return TerminalText.Escape(Path.GetFileNameWithoutExtension(path));
        }

        if (!Name().IsMatch(written.Value))
        {
            reader.Report.Report(DiagnosticCatalog.BadName, written.Position, "name", $"cannot be {Quoting.Quote(written.Value)}",
                "write lower case letters, digits and dashes");
        }

        return written.Value;
    }

    private static TimeSpan? ReadTimeout(ObjectReader reader)
    {
        if (!reader.Require("idleTimeout") || reader.Duration("idleTimeout") is not { } written)
        {
            return null;
        }

        if (!GoDuration.TryParse(written.Value, out var nanoseconds))
        {
            reader.Report.Report(DiagnosticCatalog.BadDuration, written.Position, "idleTimeout", $"is not a duration: {Quoting.Quote(written.Value)}",
                "write it like \"350s\" or \"1m30s\"");
            return null;
        }

        var timeout = TimeSpan.FromTicks(nanoseconds / TimeSpan.NanosecondsPerTick);
        if (timeout < s_shortest || timeout > s_longest)
        {
            reader.Report.Report(DiagnosticCatalog.DurationRange, written.Position, "idleTimeout",
                $"must be 100ms to 720h, but is {Quoting.Shorten(written.Value)}", "check the value");
            return null;
        }

        return timeout;
    }

    [GeneratedRegex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    private static partial Regex Name();
}
