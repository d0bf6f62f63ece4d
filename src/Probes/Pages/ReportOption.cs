using System.CommandLine;
using Keepalive.CommandLine;

namespace Keepalive.Probes.Pages;

/// <summary><c>--report FILE.html</c>: a page with pictures, for people.</summary>
internal static class ReportOption
{
    /// <summary>Declares it.</summary>
    public static Option<string?> Create(string description)
    {
        var option = new Option<string?>("--report") { Description = description, HelpName = "FILE.html" };
        option.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }] && string.IsNullOrWhiteSpace(text))
            {
                result.AddError("--report is empty");
            }
            else if (result.Tokens is [{ Value: "-" }])
            {
                result.AddError("--report takes a file, not -");
            }
        });
        return option;
    }

    /// <summary>Why the file cannot be written; null if it can. A file that is there is not changed.</summary>
    public static string? Unusable(string file)
    {
        if (Directory.Exists(file))
        {
            return $"--report: {file} is a directory";
        }
        if (Path.GetDirectoryName(Path.GetFullPath(file)) is { } parent && !Directory.Exists(parent))
        {
            return $"--report: there is no directory {parent}";
        }
        var existed = File.Exists(file);
        try
        {
            using (new FileStream(file, FileMode.OpenOrCreate, FileAccess.Write))
            {
            }
            if (!existed)
            {
                File.Delete(file);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"--report: {e.Message}";
        }
        return null;
    }

    /// <summary>Writes the page.</summary>
    /// <returns>Why it could not be written; null if it was.</returns>
    public static string? Write(string file, PacketReport report)
    {
        using var page = new MemoryStream();
        PacketPage.Write(report, $"{BuildInformation.Program} {BuildInformation.Version}", page);
        try
        {
            using var output = new FileStream(file, FileMode.Create, FileAccess.Write);
            page.Position = 0;
            page.CopyTo(output);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"--report: {e.Message}";
        }
    }
}
