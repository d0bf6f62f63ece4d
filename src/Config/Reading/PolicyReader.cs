namespace Keepalive.Config.Reading;

/// <summary>Reads and validates resources from YAML.</summary>
public static class PolicyReader
{
    /// <summary>Reads files and directories: of a directory its own <c>*.yaml</c> and <c>*.yml</c>, hidden ones left out.</summary>
    /// <returns>What could be read. Nothing about the input is thrown: a missing path or malformed text is a diagnostic.</returns>
    /// <param name="paths">The paths; <c>-</c> is the standard input, where there is one.</param>
    /// <param name="standardInput">What <c>-</c> reads, or null.</param>
    public static ReadResult Read(IEnumerable<string> paths, TextReader? standardInput = null)
    {
        ArgumentNullException.ThrowIfNull(paths);
        var session = new ReadSession();
        var files = new PolicyFiles(session.Diagnostics, standardInput);
        foreach (var (path, text) in files.Read(paths))
        {
            session.ReadText(text, path);
        }

        return session.ToResult(files.Count);
    }

    /// <summary>Reads YAML that is already in memory; JSON is YAML too.</summary>
    /// <param name="text">Any number of documents.</param>
    /// <param name="fileName">What diagnostics call it.</param>
    public static ReadResult ReadText(string text, string fileName)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(fileName);
        var session = new ReadSession();
        session.ReadText(text, fileName);
        return session.ToResult(files: 1);
    }
}
