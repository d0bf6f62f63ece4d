using System.Security.Cryptography;
using System.Text;

namespace Keepalive.Testbed;

/// <summary>The compiled holder.c, built on first use and kept beside the test assembly under the hash of its source.</summary>
internal static class HolderBinary
{
    private static readonly Lazy<string> s_built = new(Build);

    public static string Path => s_built.Value;

    private static string Build()
    {
        using var stream = typeof(HolderBinary).Assembly.GetManifestResourceStream("holder.c")
            ?? throw new InvalidOperationException("holder.c is not embedded in this assembly");
        using var reader = new StreamReader(stream);
        string source = reader.ReadToEnd();
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(source)))[..16];
        string directory = System.IO.Path.Combine(AppContext.BaseDirectory, "holder-" + hash);
        string binary = System.IO.Path.Combine(directory, "holder");
        if (File.Exists(binary))
        {
            return binary;
        }

        // Several test processes may do this at once: each compiles to a name of its own, and renaming is atomic.
        Directory.CreateDirectory(directory);
        string unique = $"{binary}.{Environment.ProcessId}";
        File.WriteAllText(unique + ".c", source);
        try
        {
            // A static program starts faster and uses less memory (one benchmark holds 2,000 processes), but not every system has libc.a.
            string[] compile = ["cc", "-O2", "-o", unique, unique + ".c"];
            if (Command.Try([.. compile, "-static"]).ExitCode != 0)
            {
                Command.Run(compile);
            }

            File.Move(unique, binary, overwrite: true);
        }
        finally
        {
            File.Delete(unique + ".c");
        }

        return binary;
    }
}
