using Keepalive.Config;

namespace Keepalive.Agent.Reports;

/// <summary>The files of diagnostics as other tools name them.</summary>
internal static class SourceFile
{
    /// <summary>Whether a position is in a file, and not in the standard input.</summary>
    public static bool IsFile(SourcePosition position) => position.Line > 0 && position.File is not ("" or "-");

    /// <summary>The path with forward slashes, without a leading <c>./</c>; relative where it is below the working directory.</summary>
    public static string RelativePath(string file)
    {
        var path = Path.IsPathRooted(file) && Path.GetRelativePath(Environment.CurrentDirectory, file) is var below && !below.StartsWith("..", StringComparison.Ordinal)
            ? below : file;
        while (path.StartsWith("./", StringComparison.Ordinal))
        {
            path = path[2..].TrimStart('/');
        }

        return path;
    }

    /// <summary>A URI reference to a file: relative, or absolute with the scheme <c>file</c>.</summary>
    public static string Uri(string file)
    {
        var path = RelativePath(file);
        var escaped = string.Join('/', path.Split('/').Select(System.Uri.EscapeDataString));
        return Path.IsPathRooted(path) ? $"file://{escaped}" : escaped;
    }
}
