using System.Diagnostics;
using System.Text;

namespace Keepalive.Testbed;

/// <summary>The result of a command that has ended.</summary>
internal sealed record CommandResult(int ExitCode, string Output, string Error)
{
    public IEnumerable<string> Lines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}

/// <summary>Runs small tools (ip, ss, sh) to their end, within a time limit.</summary>
internal static class Command
{
    private static readonly TimeSpan s_defaultTimeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_restIsReadWithin = TimeSpan.FromSeconds(5);

    /// <summary>Runs a command that must succeed.</summary>
    public static CommandResult Run(params string[] command)
    {
        var result = Try(command);
        return result.ExitCode == 0
            ? result
            : throw new InvalidOperationException($"{string.Join(' ', command)}: exit code {result.ExitCode}\n{result.Error}{result.Output}");
    }

    /// <summary>Runs a command that may fail; throws only when it cannot be started or does not end.</summary>
    public static CommandResult Try(IEnumerable<string> command, TimeSpan? timeout = null)
    {
        string[] words = [.. command];
        using var process = Spawner.Start(Spawner.Tied(words));
        process.StandardInput.Close();
        var (output, error) = (new StringBuilder(), new StringBuilder());
        var reading = Task.WhenAll(Read(process.StandardOutput, output), Read(process.StandardError, error));
        bool hasEnded = process.WaitForExit(timeout ?? s_defaultTimeout);
        if (!hasEnded || !reading.Wait(s_restIsReadWithin))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{string.Join(' ', words)} "
                + (hasEnded ? $"ended with exit code {process.ExitCode}, but what it has started still holds its output open" : "did not end in time")
                + $"\nstdout:\n{Text(output)}\nstderr:\n{Text(error)}");
        }

        return new CommandResult(process.ExitCode, Text(output), Text(error));
    }

    /// <summary>Whether the tool is on PATH.</summary>
    public static bool Exists(string tool) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Append("/sbin")
            .Any(directory => File.Exists(Path.Combine(directory, tool)));

    /// <summary>Sends a signal ("TERM", "INT", …) to a running process.</summary>
    public static void Signal(Process process, string signal)
    {
        if (!process.HasExited)
        {
            Try(["sh", "-c", $"kill -{signal} {process.Id}"]);
        }
    }

    private static async Task Read(StreamReader from, StringBuilder to)
    {
        var buffer = new char[4096];
        while (await from.ReadAsync(buffer).ConfigureAwait(false) is > 0 and var count)
        {
            lock (to)
            {
                to.Append(buffer, 0, count);
            }
        }
    }

    private static string Text(StringBuilder builder)
    {
        lock (builder)
        {
            return builder.ToString();
        }
    }
}
