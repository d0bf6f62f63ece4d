using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>Builds one of the C programs that benchmarks compare with.</summary>
internal static class CProgram
{
    /// <summary>Compiles an embedded source file.</summary>
    /// <returns>The program's path.</returns>
    public static string Build(string name)
    {
        var binary = Path.Combine(Workspace.Directory, name);
        using var stream = typeof(CProgram).Assembly.GetManifestResourceStream($"{name}.c")
            ?? throw new InvalidOperationException($"{name}.c is not embedded in this assembly");
        using (var source = File.Create(binary + ".c"))
        {
            stream.CopyTo(source);
        }
        Command.Run("cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-o", binary, binary + ".c");
        return binary;
    }
}
