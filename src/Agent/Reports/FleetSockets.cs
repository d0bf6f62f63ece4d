using System.Globalization;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Reports;

/// <summary>The output of <c>sockets --cluster</c>: the sockets of one node after the other.</summary>
internal sealed class FleetSockets(TextWriter output, bool isJson)
{
    private static readonly string[] s_heads =
        ["NODE", "NAMESPACE", "POD", "STATE", "LOCAL", "REMOTE", "KEEPALIVE", "TIMER", "UNANSWERED", "USER-TIMEOUT", "PROCESS", "POLICY", "DESTINATION"];

    private readonly int[] _widths = new int[s_heads.Length];
    private bool _hasHead;

    /// <summary>Writes what the agent of a node printed. Returns false if that is something else; then nothing is written.</summary>
    public bool TryWrite(string node, IReadOnlyList<string> lines)
    {
        return isJson ? TryWriteJson(node, lines) : TryWriteTable(node, lines);
    }

    /// <summary>Writes the head of the table if no node had a socket.</summary>
    public void End()
    {
        if (!isJson && !_hasHead)
        {
            TryWriteTable("", []);
        }
    }

    private bool TryWriteJson(string node, IReadOnlyList<string> lines)
    {
        var written = new List<string>(lines.Count);
        foreach (var line in lines)
        {
            if (NodeLines.WithNode(node, line) is not { } one)
            {
                return false;
            }
            written.Add(one);
        }
        written.ForEach(output.WriteLine);
        return true;
    }

    private bool TryWriteTable(string node, IReadOnlyList<string> lines)
    {
        var rows = new List<string[]>(lines.Count + 1);
        if (!_hasHead)
        {
            rows.Add(s_heads);
        }
        foreach (var line in lines)
        {
            if (!NodeLines.TryRead(line, SocketJsonContext.Readable.SocketJson, out var socket))
            {
                return false;
            }
            rows.Add(Row(node, socket));
        }
        _hasHead = true;
        // Nodes are written as they answer: a column may become wider on the way.
        foreach (var line in TextTable.Lines(rows, _widths))
        {
            output.WriteLine(line);
        }
        return true;
    }

    private static string[] Row(string node, SocketJson s) =>
    [
        node,
        s.Namespace ?? "-",
        s.Pod is null ? "-" : s.Container is null ? s.Pod : $"{s.Pod}/{s.Container}",
        s.State ?? "?",
        s.Local ?? "?",
        s.State == TcpState.Listen.Name() ? "-" : s.Remote ?? "?",
        s.Keepalive switch { true => $"{s.Time}s/{s.Interval}s/{s.Probes}", false => "off", null => "?" },
        (s.Timer, s.ExpiresMs) switch { (null, _) => "-", ({ } name, { } left) => $"{name} {Spans.Short(left)}", ({ } name, null) => name },
        s.Unanswered > 0 ? s.Unanswered.ToString(CultureInfo.InvariantCulture) : "-",
        s.UserTimeoutMs is not { } timeout ? "-" : Spans.Short(timeout) + (s.EndsAfterProbes is { } ends ? $" ({ends} of {s.Probes} probes)" : ""),
        s.Pid is { } pid ? $"{pid}/{s.Command}" : "-",
        s.Policy is null ? s.Managed ? "(set by an agent)" : "-" : s.Managed ? s.Policy : $"{s.Policy} ({Standing(s)})",
        s.Destination ?? "-",
    ];

    private static string Standing(SocketJson socket) => Enum.TryParse<SocketOutcome>(socket.Outcome, ignoreCase: true, out var outcome)
        ? SocketList.Standing(outcome, socket.Reason, TcpState.Established) : "not set";
}
