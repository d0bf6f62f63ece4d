namespace Keepalive.Simulator.Lab;

/// <summary>How a lab ended.</summary>
/// <param name="Duration">Since it began.</param>
/// <param name="Totals">The balancer's counters.</param>
/// <param name="Frames">Frames that came in.</param>
/// <param name="Lost">Frames that were lost for other reasons than the balancer's rule.</param>
/// <param name="Overrun">Those of them for which this machine was too slow.</param>
internal sealed record LabSummary(TimeSpan Duration, LabTotals Totals, long Frames, long Lost, long Overrun);

/// <summary>The lab's output while it runs.</summary>
/// <remarks>
/// Lines are written by a thread of their own, because their reader may be slow or have stopped. The forwarding thread never waits for it:
/// beyond a limit its lines are left out, and counted. A command that writes does wait, as it would at any other pipe. Lines of single events are
/// never left out.
/// </remarks>
internal abstract class LabReport : IDisposable
{
    /// <summary>Lines about connections that may wait for the reader.</summary>
    private const int MaxWaiting = 100_000;

    /// <summary>Lines of the commands that may; few, to leave room for those about connections.</summary>
    private const int MaxOutputWaiting = 1_000;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);

    private readonly Queue<string> _lines = [];
    private readonly Thread _writer;
    private bool _isComplete;
    private long _leftOut;

    protected LabReport(TextWriter output)
    {
        _writer = new Thread(() => Write(output)) { IsBackground = true, Name = "report" };
        _writer.Start();
    }

    /// <summary>Lines for which there was no room.</summary>
    protected long LeftOut => Interlocked.Read(ref _leftOut);

    /// <summary>The lab's setting.</summary>
    public abstract void Started(LabSetting setting);

    /// <summary>Reports an event of a connection. Does not wait.</summary>
    public abstract void Happened(LabEvent what);

    /// <summary>Reports a line that a process in the lab has written. Waits for the reader.</summary>
    /// <param name="time">Since the lab began.</param>
    /// <param name="who">client, server or agent.</param>
    /// <param name="stream">stdout or stderr.</param>
    /// <param name="text">A line of it.</param>
    /// <param name="continues">Whether that is not all of the line, which goes on in the next call.</param>
    public abstract void Output(TimeSpan time, string who, string stream, string text, bool continues = false);

    /// <summary>Something else a reader should know.</summary>
    public abstract void Note(TimeSpan time, string text);

    /// <summary>A process in the lab has ended.</summary>
    public abstract void Exited(TimeSpan time, string who, int exitCode);

    public abstract void Ended(LabSummary summary);

    /// <summary>Takes no more lines, and waits until those there are have been read, however long that takes.</summary>
    public void Complete()
    {
        Close();
        _writer.Join();
    }

    /// <summary>Takes no more lines, and waits for a reader that reads.</summary>
    public void Dispose()
    {
        Close();
        _writer.Join(s_patience);
    }

    /// <summary>Adds a line that may be left out.</summary>
    protected void LineIfRoom(string line) => Add(line, MaxWaiting, waits: false);

    /// <summary>Adds a line when there is room for it.</summary>
    protected void LineWhenRoom(string line) => Add(line, MaxOutputWaiting, waits: true);

    /// <summary>Adds a line in any case.</summary>
    protected void Line(string line) => Add(line, int.MaxValue, waits: false);

    private void Add(string line, int limit, bool waits)
    {
        lock (_lines)
        {
            while (waits && _lines.Count >= limit && !_isComplete)
            {
                Monitor.Wait(_lines);
            }
            if (_isComplete)
            {
                return;
            }
            if (_lines.Count >= limit)
            {
                Interlocked.Increment(ref _leftOut);
                return;
            }
            _lines.Enqueue(line);
            Monitor.PulseAll(_lines);
        }
    }

    private void Close()
    {
        lock (_lines)
        {
            _isComplete = true;
            Monitor.PulseAll(_lines);
        }
    }

    private string? Next()
    {
        lock (_lines)
        {
            while (_lines.Count == 0 && !_isComplete)
            {
                Monitor.Wait(_lines);
            }
            if (_lines.Count == 0)
            {
                return null;
            }
            Monitor.PulseAll(_lines);
            return _lines.Dequeue();
        }
    }

    private void Write(TextWriter output)
    {
        var isRead = true;
        while (Next() is { } line)
        {
            try
            {
                if (isRead)
                {
                    output.WriteLine(line);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It is closed, nobody reads any more, or the disk is full; the lab goes on.
                isRead = false;
            }
        }
    }
}
