using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Keepalive.Probes.Classify;

namespace Keepalive.Probes.Reports;

/// <summary>Prints findings on a thread of its own, so that a file is read and classified meanwhile.</summary>
/// <remarks>
/// <code>
///   scan ── findings ──► batch ──► full ──► thread: report ──► output
///                          ▲                   │
///                          └────── empty ◄─────┘
/// </code>
/// There are few batches, so that the scan waits where the output is slow. The thread begins with the first full batch: the findings of a small file need none.
/// <see cref="PathTable"/> may grow meanwhile; the numbers that findings have stay as they are. Only the findings are printed there; before anything else is asked of the report, <see cref="Drain"/> waits until they are.
/// </remarks>
/// <param name="report">Prints the findings.</param>
internal sealed class ReportThread(ProbeReport report) : IFindingSink, IDisposable
{
    private const int BatchLength = 1024;
    private const int Batches = 3;

    private readonly BlockingCollection<Finding[]> _full = [];
    private readonly BlockingCollection<Finding[]> _empty = [];
    private Finding[] _batch = new Finding[BatchLength];
    private int _count;
    private Thread? _thread;
    private volatile ExceptionDispatchInfo? _failure;

    public void Begin(PathTable paths) => report.Begin(paths);

    /// <exception cref="Exception">An earlier finding could not be printed: the report's own exception.</exception>
    public void Found(in Finding finding)
    {
        finding.CopyTo(ref _batch[_count++]);
        if (_count == BatchLength)
        {
            Pass();
        }
    }

    /// <summary>Waits until every finding so far is printed. The report is the caller's until the next finding.</summary>
    /// <exception cref="Exception">One could not be printed: the report's own exception.</exception>
    public void Drain()
    {
        if (_thread is not null)
        {
            // All but the batch that is being filled are back when nothing is printed any more.
            var others = new Finding[Batches - 1][];
            for (var i = 0; i < others.Length; i++)
            {
                others[i] = _empty.Take();
            }
            Array.ForEach(others, _empty.Add);
            _failure?.Throw();
        }
        var count = _count;
        _count = 0;
        Print(_batch.AsSpan(0, count));
    }

    public void Dispose()
    {
        _full.CompleteAdding();
        _thread?.Join();
        _full.Dispose();
        _empty.Dispose();
    }

    private void Pass()
    {
        if (_thread is null)
        {
            for (var i = 1; i < Batches; i++)
            {
                _empty.Add(new Finding[BatchLength]);
            }
            _thread = new Thread(PrintAll) { IsBackground = true, Name = "report" };
            _thread.Start();
        }
        _failure?.Throw();
        _full.Add(_batch);
        (_batch, _count) = (_empty.Take(), 0);
    }

    private void PrintAll()
    {
        foreach (var batch in _full.GetConsumingEnumerable())
        {
            // After a failure the batches still go round: the scan must not wait for them.
            if (_failure is null)
            {
                try
                {
                    Print(batch);
                }
                catch (Exception e)
                {
                    _failure = ExceptionDispatchInfo.Capture(e);
                }
            }
            _empty.Add(batch);
        }
    }

    private void Print(ReadOnlySpan<Finding> findings)
    {
        foreach (ref readonly var finding in findings)
        {
            report.Found(in finding);
        }
    }
}
