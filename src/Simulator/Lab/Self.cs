namespace Keepalive.Simulator.Lab;

/// <summary>This program, to be started again under another command.</summary>
internal static class Self
{
    /// <summary>Its command line: the program's own file, or the runtime with the assembly where it was started as <c>dotnet FILE.dll</c>.</summary>
    public static string[] Command(params ReadOnlySpan<string> arguments)
    {
        var program = Environment.ProcessPath ?? throw new LabException("/proc/self/exe cannot be read");
        return Path.GetFileNameWithoutExtension(program) == "dotnet"
            ? [program, "exec", Path.Combine(AppContext.BaseDirectory, "keepalive-sim.dll"), .. arguments]
            : [program, .. arguments];
    }
}
