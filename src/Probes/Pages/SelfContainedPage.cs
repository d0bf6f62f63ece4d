using System.Reflection;
using System.Security.Cryptography;
using System.Text;

namespace Keepalive.Probes.Pages;

/// <summary>A page in one file: its HTML, style, script and data, without a request to anywhere.</summary>
/// <remarks>
/// The parts are plain files in a folder <c>Pages/Web</c>, embedded. Those that all pages share are in this assembly. The policy of the page lets the browser run this style and this script,
/// by their hashes, and nothing else. The data is JSON in which <c>&lt; &gt; &amp;</c> and all characters beyond ASCII are escaped, so that no name in it
/// can end the element.
/// </remarks>
internal static class SelfContainedPage
{
    /// <summary>Writes a page.</summary>
    /// <param name="name">The name of its HTML file, without the extension.</param>
    /// <param name="styles">The names of its style sheets.</param>
    /// <param name="scripts">The names of its scripts.</param>
    /// <param name="data">The JSON, escaped.</param>
    /// <param name="output">Receives it.</param>
    /// <param name="owner">The assembly that has the parts which are not here; null for none.</param>
    public static void Write(string name, IEnumerable<string> styles, IEnumerable<string> scripts, ReadOnlySpan<byte> data, Stream output, Assembly? owner = null)
    {
        var style = Join(styles, ".css", owner);
        var script = Join(scripts, ".js", owner);
        var page = Resource(name + ".html", owner)
            .Replace("{{policy}}", Policy(style, script), StringComparison.Ordinal)
            .Replace("{{style}}", style, StringComparison.Ordinal)
            .Replace("{{script}}", script, StringComparison.Ordinal);
        var (before, after) = (page[..page.IndexOf(DataMark, StringComparison.Ordinal)], page[(page.IndexOf(DataMark, StringComparison.Ordinal) + DataMark.Length)..]);
        output.Write(Encoding.UTF8.GetBytes(before));
        output.Write(data);
        output.Write(Encoding.UTF8.GetBytes(after));
    }

    private const string DataMark = "{{data}}";

    private static string Policy(string style, string script) =>
        $"default-src 'none'; style-src {Hash(style)}; script-src {Hash(script)}; base-uri 'none'; form-action 'none'";

    private static string Hash(string content) => $"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(content)))}'";

    private static string Join(IEnumerable<string> names, string extension, Assembly? owner) => string.Concat(names.Select(name => Resource(name + extension, owner)));

    private static string Resource(string file, Assembly? owner)
    {
        using var stream = owner?.GetManifestResourceStream(file) ?? typeof(SelfContainedPage).Assembly.GetManifestResourceStream(file)
            ?? throw new InvalidOperationException($"{file} is not embedded");
        using var reader = new StreamReader(stream);
        // A browser hashes what it has read, with line feeds alone.
        return reader.ReadToEnd().Replace("\r\n", "\n", StringComparison.Ordinal);
    }
}
