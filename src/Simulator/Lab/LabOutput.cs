using System.Diagnostics;
using System.Text;

namespace Keepalive.Simulator.Lab;

/// <summary>Takes what a command in the lab writes, line by line, on both of its streams.</summary>
internal sealed class LabOutput
{
    /// <summary>The longest line taken in one piece, characters: some commands never end theirs.</summary>
    private const int MaxLine = 32 * 1024;

    /// <summary>The most that a pipe can hold, bytes (fs.pipe-max-size).</summary>
    private const int PipeCapacity = 1 << 20;

    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(20);

    private readonly Line _line;
    private readonly Task _copying;
    private long _taken;
    private int _handing;

    /// <summary>Begins.</summary>
    /// <param name="process">The command.</param>
    /// <param name="line">Gets each line; may take its time.</param>
    public LabOutput(Process process, Line line)
    {
        _line = line;
        // A thread of its own waits for slow readers of the report.
        _copying = Task.WhenAll(
            Task.Factory.StartNew(() => Copy(process.StandardOutput, "stdout"), TaskCreationOptions.LongRunning),
            Task.Factory.StartNew(() => Copy(process.StandardError, "stderr"), TaskCreationOptions.LongRunning));
    }

    /// <summary>Gets a line.</summary>
    /// <param name="stream">stdout or stderr.</param>
    /// <param name="text">It, without the newline.</param>
    /// <param name="continues">Whether the next one is the rest of it.</param>
    internal delegate void Line(string stream, string text, bool continues);

    /// <summary>Waits, when the command has ended, for what it has written.</summary>
    /// <param name="quiet">
    /// How long nothing may come: what the command has started itself may hold its streams open. It may go on writing, too; what comes
    /// after a pipe's worth was written later.
    /// </param>
    public async Task DrainAsync(TimeSpan quiet)
    {
        var first = Interlocked.Read(ref _taken);
        var last = first;
        var since = Stopwatch.StartNew();
        while (!_copying.IsCompleted && since.Elapsed < quiet && last - first <= PipeCapacity)
        {
            await Task.WhenAny(_copying, Task.Delay(s_poll)).ConfigureAwait(false);
            var now = Interlocked.Read(ref _taken);
            if (now != last || Volatile.Read(ref _handing) != 0)
            {
                since.Restart();
            }
            last = now;
        }
    }

    private void Copy(StreamReader from, string stream)
    {
        var buffer = new char[MaxLine];
        var line = new StringBuilder();
        while (from.Read(buffer) is > 0 and var count)
        {
            Interlocked.Add(ref _taken, count);
            var rest = buffer.AsSpan(0, count);
            for (int end; (end = rest.IndexOf('\n')) >= 0; rest = rest[(end + 1)..])
            {
                line.Append(rest[..end]);
                Hand(stream, line, continues: false);
            }
            line.Append(rest);
            if (line.Length >= MaxLine)
            {
                Hand(stream, line, continues: true);
            }
        }
        if (line.Length > 0)
        {
            Hand(stream, line, continues: false);
        }
    }

    private void Hand(string stream, StringBuilder line, bool continues)
    {
        Interlocked.Increment(ref _handing);
        _line(stream, line.ToString(), continues);
        Interlocked.Decrement(ref _handing);
        line.Clear();
    }
}
