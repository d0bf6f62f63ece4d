using System.Collections.Immutable;
using System.Text;
using Keepalive.Linux.Files;

namespace Keepalive.Agent.Kubernetes;

/// <summary>What the agent of one node printed.</summary>
/// <param name="Pod">The agent.</param>
/// <param name="Lines">The lines of its standard output.</param>
/// <param name="Warnings">The first lines of its standard error, masked.</param>
/// <param name="ExitCode">The exit code of its command; null if it was not run to its end.</param>
/// <param name="Failure">Why there is no answer; null if there is one.</param>
internal sealed record NodeAnswer(AgentPod Pod, ImmutableArray<string> Lines, ImmutableArray<string> Warnings, int? ExitCode, string? Failure);

/// <summary>Runs a command of the agent on every node of a cluster through <c>kubectl exec</c>.</summary>
internal sealed class AgentFleet(Kubectl kubectl, ImmutableArray<AgentPod> pods)
{
    /// <summary>Nodes that are asked at a time.</summary>
    public const int AtATime = 10;

    /// <summary>Limits of one node's answer: more than its sockets can be, and than anybody reads.</summary>
    private const int MaxLine = 64 * 1024;
    private const int MaxLines = 500_000;
    private const long MaxAnswer = 128 * 1024 * 1024;

    private const int MaxWarnings = 5;

    /// <summary>How kubectl says that the command itself ended with an exit code.</summary>
    private const string Terminated = "command terminated with exit code ";

    public int Nodes => pods.Length;

    /// <summary>Returns the answers in the order of the nodes. At most <see cref="AtATime"/> are in memory.</summary>
    /// <param name="words">The command of the agent and its options.</param>
    /// <param name="stop">Ends all.</param>
    public async IAsyncEnumerable<NodeAnswer> AskAsync(
        IReadOnlyList<string> words, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken stop)
    {
        var running = new Queue<Task<NodeAnswer>>();
        var next = 0;
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(stop);
        try
        {
            while (next < pods.Length || running.Count > 0)
            {
                while (next < pods.Length && running.Count < AtATime)
                {
                    running.Enqueue(AskAsync(pods[next++], words, ended.Token));
                }
                yield return await running.Dequeue().ConfigureAwait(false);
            }
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
            await ((Task)Task.WhenAll(running)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task<NodeAnswer> AskAsync(AgentPod pod, IReadOnlyList<string> words, CancellationToken stop)
    {
        if (pod.WhyNot is { } whyNot)
        {
            return new NodeAnswer(pod, [], [], null, whyNot);
        }
        var lines = new List<string>();
        try
        {
            var end = await kubectl.RunAsync(
                ["exec", "--namespace", pod.Namespace, pod.Name, "--container", pod.Container, "--", "keepalive-agent", .. words],
                (output, token) => ReadLinesAsync(output, lines, token),
                stop,
                warns: false).ConfigureAwait(false);
            var said = end.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            if (end.ExitCode == 0)
            {
                return new NodeAnswer(pod, [.. lines], [.. said.Take(MaxWarnings)], 0, null);
            }
            var at = end.Error.IndexOf(Terminated, StringComparison.Ordinal);
            return at >= 0 && int.TryParse(new string([.. end.Error[(at + Terminated.Length)..].TakeWhile(char.IsAsciiDigit)]), out var code)
                ? new NodeAnswer(pod, [.. lines], [.. said.Where(static line => !line.StartsWith(Terminated, StringComparison.Ordinal)).Take(MaxWarnings)], code, null)
                : new NodeAnswer(pod, [], [], null, end.Reason);
        }
        catch (KubectlException e)
        {
            return new NodeAnswer(pod, [], [], null, e.Message);
        }
    }

    private static async Task ReadLinesAsync(Stream output, List<string> lines, CancellationToken stop)
    {
        await using var limited = new LimitedStream(output, MaxAnswer);
        using var reader = new StreamReader(limited, Encoding.UTF8, detectEncodingFromByteOrderMarks: false, bufferSize: 64 * 1024);
        var buffer = new char[16 * 1024];
        var line = new StringBuilder();
        for (int read; (read = await reader.ReadAsync(buffer, stop).ConfigureAwait(false)) > 0;)
        {
            var rest = buffer.AsSpan(0, read);
            for (int end; (end = rest.IndexOf('\n')) >= 0; rest = rest[(end + 1)..])
            {
                Take(rest[..end]);
                if (lines.Count >= MaxLines)
                {
                    throw new IOException($"more than {MaxLines} lines came");
                }
                lines.Add(line.ToString());
                line.Clear();
            }
            Take(rest);
        }
        if (line.Length > 0)
        {
            lines.Add(line.ToString());
        }

        void Take(ReadOnlySpan<char> text)
        {
            if (line.Length + text.Length > MaxLine)
            {
                throw new IOException($"a line of more than {MaxLine / 1024} KiB came");
            }
            line.Append(text);
        }
    }
}
