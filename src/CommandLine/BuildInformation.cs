using System.CommandLine;
using System.CommandLine.Invocation;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Keepalive.CommandLine;

/// <summary>The program that runs: its name, its version, and how it was built.</summary>
public static class BuildInformation
{
    private const string QuickBuild = "'make build'; this is a quick build";

    private static readonly Assembly s_program = Assembly.GetEntryAssembly() ?? typeof(BuildInformation).Assembly;

    /// <summary>Whether kubectl has started it as its plugin, or somebody under that name.</summary>
    public static bool IsKubectlPlugin { get; } = Path.GetFileName(FirstWord()) == "kubectl-keepalive";

    /// <summary>The name of the program, <c>keepalive-agent</c> for example, as users write it.</summary>
    public static string Program { get; } = IsKubectlPlugin ? "kubectl keepalive" : s_program.GetName().Name!;

    /// <summary>Returns a command line with the name under which the program was started.</summary>
    public static string AsWritten(string command)
    {
        ArgumentNullException.ThrowIfNull(command);
        return command.Replace(s_program.GetName().Name!, Program, StringComparison.Ordinal);
    }

    /// <summary>The version with the commit, <c>0.1.0+0123456789ab</c> for example.</summary>
    public static string Version { get; } =
        s_program.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    /// <summary>Whether this is one executable, compiled ahead of time, with its native libraries inside.</summary>
    public static bool IsNative => !RuntimeFeature.IsDynamicCodeSupported;

    /// <summary>The tools and libraries that this build was made with; null where the build did not record them.</summary>
    public static string? BuiltWith { get; } = Metadata("BuiltWith");

    /// <summary>The packages that were missing for a single executable; null for a single executable.</summary>
    public static string? Lacks { get; } = IsNative ? null : Metadata("BuildLacks") ?? QuickBuild;

    /// <summary>Makes <c>--version</c> print also how the program was built.</summary>
    public static void UseForVersion(RootCommand root) => root.Options.OfType<VersionOption>().Single().Action = new PrintVersion();

    /// <summary>The name that the program was started under: a link to it has a name of its own.</summary>
    private static string FirstWord()
    {
        try
        {
            var line = File.ReadAllText("/proc/self/cmdline");
            return line[..Math.Max(0, line.IndexOf('\0', StringComparison.Ordinal))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    private static string? Metadata(string key) => s_program.GetCustomAttributes<AssemblyMetadataAttribute>()
        .FirstOrDefault(attribute => attribute.Key == key && !string.IsNullOrEmpty(attribute.Value))?.Value;

    private sealed class PrintVersion : SynchronousCommandLineAction
    {
        public override bool Terminating => true;

        public override int Invoke(ParseResult parseResult)
        {
            var output = parseResult.InvocationConfiguration.Output;
            output.WriteLine($"{Program} {Version}");
            output.WriteLine(IsNative
                ? $"one executable, compiled ahead of time ({RuntimeInformation.FrameworkDescription}, {RuntimeInformation.RuntimeIdentifier})"
                : $"framework-dependent ({RuntimeInformation.FrameworkDescription}, {RuntimeInformation.RuntimeIdentifier})");
            if (BuiltWith is not null)
            {
                output.WriteLine($"built with {BuiltWith}");
            }
            if (Lacks is not null)
            {
                output.WriteLine($"one executable needs {Lacks}");
            }
            return 0;
        }
    }
}
