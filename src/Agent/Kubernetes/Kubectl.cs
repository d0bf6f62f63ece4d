using System.ComponentModel;
using System.Diagnostics;
using System.Text;
using Keepalive.Agent.Support;
using Keepalive.Config;
using Keepalive.Linux.Files;

namespace Keepalive.Agent.Kubernetes;

/// <summary>A failed kubectl: it said why, did not end, or sent something else.</summary>
internal sealed class KubectlException(string message, Exception? inner = null) : IOException(message, inner);

/// <summary>The options of every kubectl.</summary>
/// <param name="Context">The context of the kubeconfig; null for the current one.</param>
/// <param name="Kubeconfig">The kubeconfig; null for kubectl's own choice.</param>
/// <param name="Timeout">The longest time that it may print nothing.</param>
internal sealed record KubectlOptions(string? Context, string? Kubeconfig, TimeSpan Timeout);

/// <summary>How a kubectl ended.</summary>
/// <param name="ExitCode">Its exit code.</param>
/// <param name="Error">The first and the last lines of its standard error, masked.</param>
internal readonly record struct KubectlEnd(int ExitCode, string Error)
{
    /// <summary>The line that says why it failed.</summary>
    public string Reason
    {
        get
        {
            var lines = Error.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            return (lines.FirstOrDefault(static line => line.StartsWith("Error", StringComparison.OrdinalIgnoreCase)) ?? lines.LastOrDefault()) is { } line
                ? line : $"it exited with {ExitCode} and said nothing";
        }
    }
}

/// <summary>Runs kubectl: its contexts, certificates, tokens and plugins are the user's own.</summary>
/// <remarks>
/// The first call runs alone and with the terminal, because a credential plugin may ask for a password or open a browser. kubectl and
/// plugins cache what they get, so the calls after it can run side by side and without the terminal.
/// </remarks>
internal sealed class Kubectl(KubectlOptions options, Action<string> warn)
{
    private const string Program = "kubectl";

    /// <summary>ENOENT.</summary>
    private const int NotFound = 2;

    private const int MaxError = 16 * 1024;
    private const int MaxWarnings = 10;

    /// <summary>The longest answer: the pods or endpoints of a large cluster.</summary>
    private const long MaxAnswer = 1024L * 1024 * 1024;

    /// <summary>The time for a person to answer a credential plugin.</summary>
    private static readonly TimeSpan s_forPeople = TimeSpan.FromMinutes(5);

    private readonly HashSet<string> _warnings = [];

    /// <summary>Runs it to its end. Its warnings are passed on, each once.</summary>
    /// <param name="arguments">The arguments; the options of the cluster are added.</param>
    /// <param name="read">Reads its standard output.</param>
    /// <param name="stop">Ends it.</param>
    /// <param name="withTerminal">Whether it has the terminal's input, and its messages are shown as they come.</param>
    /// <param name="warns">Whether its messages are passed on if it succeeds.</param>
    /// <exception cref="MissingRequirementException">kubectl is not installed.</exception>
    /// <exception cref="KubectlException">It did not end in time, or its output is not as expected.</exception>
    public async Task<KubectlEnd> RunAsync(IEnumerable<string> arguments, Func<Stream, CancellationToken, Task> read, CancellationToken stop, bool withTerminal = false,
        bool warns = true)
    {
        withTerminal &= !Console.IsInputRedirected;
        using var process = Start(arguments, withTerminal);
        using var quiet = CancellationTokenSource.CreateLinkedTokenSource(stop);
        var patience = withTerminal && options.Timeout < s_forPeople ? s_forPeople : options.Timeout;
        quiet.CancelAfter(patience);
        try
        {
            if (!withTerminal)
            {
                process.StandardInput.Close();
            }
            var error = ReadErrorAsync(process.StandardError.BaseStream, withTerminal, () => quiet.CancelAfter(patience), quiet.Token);
            await using var output = new LimitedStream(new WatchedStream(process.StandardOutput.BaseStream, () => quiet.CancelAfter(patience), quiet.Token), MaxAnswer);
            Exception? failure = null;
            try
            {
                await read(output, quiet.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or System.Text.Json.JsonException)
            {
                failure = e;   // what kubectl says of it is better
            }
            if (!await DrainAsync(output, failure is null ? long.MaxValue : MaxError, quiet.Token).ConfigureAwait(false))
            {
                throw Unusable(failure!);   // it goes on printing
            }
            var text = await error.ConfigureAwait(false);
            await process.WaitForExitAsync(quiet.Token).ConfigureAwait(false);
            var end = new KubectlEnd(process.ExitCode, text);
            if (failure is not null && end.ExitCode == 0)
            {
                throw Unusable(failure);
            }
            if (warns && !withTerminal)
            {
                Warn(end);
            }
            return end;
        }
        catch (OperationCanceledException e) when (!stop.IsCancellationRequested)
        {
            throw new KubectlException($"kubectl printed nothing for {patience.TotalSeconds:0.#} s and was ended", e);
        }
        finally
        {
            Kill(process);
        }
    }

    /// <summary>Runs it and returns its output as text, if it is short.</summary>
    public async Task<(KubectlEnd End, string Output)> TextAsync(IEnumerable<string> arguments, CancellationToken stop, int most = 4 * 1024 * 1024, bool withTerminal = false)
    {
        using var text = new MemoryStream();
        var end = await RunAsync(
            arguments,
            async (output, token) =>
            {
                await using var limited = new LimitedStream(output, most);
                await limited.CopyToAsync(text, token).ConfigureAwait(false);
            },
            stop,
            withTerminal).ConfigureAwait(false);
        return (end, Encoding.UTF8.GetString(text.GetBuffer(), 0, (int)text.Length));
    }

    private Process Start(IEnumerable<string> arguments, bool withTerminal)
    {
        var info = new ProcessStartInfo(Program)
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = !withTerminal,
        };
        foreach (var word in (string[])[
            .. options.Kubeconfig is { } file ? (string[])["--kubeconfig", file] : [],
            .. options.Context is { } context ? (string[])["--context", context] : [],
            .. arguments,
        ])
        {
            info.ArgumentList.Add(word);
        }
        try
        {
            return Process.Start(info)!;
        }
        catch (Win32Exception e)
        {
            throw new MissingRequirementException(
                $"kubectl cannot be started ({(e.NativeErrorCode == NotFound ? "no directory of PATH has it" : new Win32Exception(e.NativeErrorCode).Message)}). --cluster, --context and --kubeconfig read the cluster through it: "
                + "install kubectl (https://kubernetes.io/docs/tasks/tools/) or correct PATH");
        }
    }

    /// <summary>Reads the beginning and the end of its messages, and skips what is between them.</summary>
    private static async Task<string> ReadErrorAsync(Stream error, bool isShown, Action sign, CancellationToken stop)
    {
        var (text, buffer) = (new EndsOfText(MaxError), new byte[4096]);
        for (; ; )
        {
            var read = await error.ReadAsync(buffer, stop).AsTask().WaitAsync(stop).ConfigureAwait(false);
            if (read == 0)
            {
                return MaskLines(text.ToString());
            }
            sign();
            text.Add(buffer.AsSpan(0, read));
            if (isShown)
            {
                // A prompt has no line end: it is shown at once.
                Console.Error.Write(MaskLines(Encoding.UTF8.GetString(buffer, 0, read)));
            }
        }
    }

    private static KubectlException Unusable(Exception failure) =>
        new($"kubectl's output cannot be used: {TerminalText.Mask(failure.Message)}", failure);

    /// <summary>Reads what is left, so that kubectl can end. Returns false if it is more than <paramref name="most"/> bytes.</summary>
    private static async Task<bool> DrainAsync(Stream output, long most, CancellationToken stop)
    {
        var buffer = new byte[16 * 1024];
        for (int read; (read = await output.ReadAsync(buffer, stop).ConfigureAwait(false)) > 0;)
        {
            most -= read;
            if (most < 0)
            {
                return false;
            }
        }
        return true;
    }

    private void Warn(KubectlEnd end)
    {
        if (end.ExitCode != 0)
        {
            return;
        }
        foreach (var line in end.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Take(MaxWarnings))
        {
            lock (_warnings)
            {
                if (_warnings.Count >= MaxWarnings || !_warnings.Add(line))
                {
                    continue;
                }
            }
            warn($"kubectl: {line}");
        }
    }

    /// <summary>Ends it, with the plugins that it has started.</summary>
    private static void Kill(Process process)
    {
        try
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception or AggregateException)
        {
            // It has ended by itself.
        }
    }

    private static string MaskLines(string text) => string.Join('\n', text.Split('\n').Select(TerminalText.Mask));

    /// <summary>A pipe whose reads end with the limit, and are a sign of life.</summary>
    private sealed class WatchedStream(Stream inner, Action sign, CancellationToken limit) : ForwardStream(FileAccess.Read)
    {
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            // A pipe's read may not end with its token, while a child of kubectl keeps the pipe open.
            var read = await inner.ReadAsync(buffer, limit).AsTask().WaitAsync(limit).ConfigureAwait(false);
            sign();
            return read;
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }
}
