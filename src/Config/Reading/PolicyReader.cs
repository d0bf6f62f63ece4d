using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads and validates resources from YAML.</summary>
public static class PolicyReader
{
    /// <summary>Reads files and directories.</summary>
    public static ReadResult Read(IEnumerable<string> paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        return new ReadResult(ResourceSet.Empty, []);
    }

    /// <summary>Reads YAML (or JSON) that is already in memory.</summary>
    public static ReadResult ReadText(string text, string fileName)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(fileName);
        return new ReadResult(ResourceSet.Empty, []);
    }
}
