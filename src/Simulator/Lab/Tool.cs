using System.Diagnostics;

namespace Keepalive.Simulator.Lab;

/// <summary>The result of a tool that ran to its end.</summary>
internal sealed record ToolResult(int ExitCode, string Output, string Error);

/// <summary>The system's own tools that the lab is made with.</summary>
internal static class Tool
{
    public const string Ip = "ip";
    public const string Ss = "ss";
    public const string Unshare = "unshare";
    public const string Nsenter = "nsenter";
    public const string Shell = "sh";

    private static readonly (string Name, string Package)[] s_needed = [(Ip, "iproute2"), (Ss, "iproute2"), (Unshare, "util-linux"), (Nsenter, "util-linux")];

    /// <summary>One line for each tool that is not there, with the package that has it.</summary>
    public static List<string> Missing(Predicate<string> isThere) =>
        [.. s_needed.Where(tool => !isThere(tool.Name)).Select(tool => $"{tool.Name} is not installed: install the package {tool.Package}.")];

    /// <summary>Where a tool is. PATH of an ordinary user often leaves out the sbin directories.</summary>
    public static string? Find(string name) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Concat(["/usr/sbin", "/sbin", "/usr/bin", "/bin"])
            .Select(directory => Path.Combine(directory, name))
            .FirstOrDefault(File.Exists);

    /// <summary>A command line whose first word is the tool's full path.</summary>
    public static string[] Command(string name, params ReadOnlySpan<string> arguments) => [Find(name) ?? name, .. arguments];

    /// <summary>Runs a command line to its end. All it is used for ends by itself.</summary>
    public static ToolResult Run(IReadOnlyList<string> command, IReadOnlyDictionary<string, string>? environment = null, string directory = "")
    {
        using var process = Start(command, environment, directory);
        process.StandardInput.Close();
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new ToolResult(process.ExitCode, output, error.GetAwaiter().GetResult());
    }

    /// <summary>Starts a process with its standard input in this one's hands, and its output too unless it is not to be captured.</summary>
    public static Process Start(
        IReadOnlyList<string> command, IReadOnlyDictionary<string, string>? environment = null, string directory = "", bool capture = true)
    {
        var info = new ProcessStartInfo(command[0], command.Skip(1))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = capture,
            RedirectStandardError = capture,
            UseShellExecute = false,
            WorkingDirectory = directory,
        };
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
        {
            info.Environment[name] = value;
        }
        try
        {
            return Process.Start(info)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new LabException($"{command[0]} cannot be started: {e.Message}");
        }
    }
}
