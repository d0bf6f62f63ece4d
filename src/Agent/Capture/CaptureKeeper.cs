using System.Collections.Concurrent;
using Keepalive.Agent.Log;
using Keepalive.Linux.Capture;
using Keepalive.Probes.Capture;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Capture;

/// <summary>Captures in the namespaces with watched connections, only on the interfaces that those connections use.</summary>
/// <remarks>
/// <code>
///   pass ──► order ──► CaptureOpener ──► interfaces ──► packets ──► ICaptureListener
///                        └────── a thread ──────┘       └─────── another ───────┘
/// </code>
/// A packet socket keeps its namespace alive. It is closed with the last watched connection there.
/// </remarks>
internal sealed partial class CaptureKeeper : IDisposable
{
    /// <summary>How long the thread waits for a packet before it looks for queued actions.</summary>
    private const int WaitMilliseconds = 100;

    /// <summary>How long packets collect, so that many are read at a time. If packets arrive one by one, the rings have room for more than
    /// arrive in this time.</summary>
    private static readonly TimeSpan s_gather = TimeSpan.FromMilliseconds(20);

    private readonly ICaptureListener _listener;
    private readonly ILogger _logger;
    private readonly LiveCapture _live = new();
    private readonly ConcurrentQueue<Action> _told = new();
    private readonly ManualResetEvent _stop = new(false);   // not ManualResetEventSlim, which spins before it waits
    private readonly CaptureOpener _opener;
    private readonly Thread _thread;
    private long _dropped;
    private long _received;

    /// <param name="listener">Receives the packets.</param>
    /// <param name="logger">Receives the reasons why capturing fails.</param>
    /// <param name="maxInterfaces">The maximum number of interfaces to capture on at a time.</param>
    public CaptureKeeper(ICaptureListener listener, ILogger logger, int maxInterfaces)
    {
        _listener = listener;
        _logger = logger;
        _opener = new CaptureOpener(listener, (capture, scope) => _told.Enqueue(() => _live.Add(capture, scope)), Detach, LogFailed, maxInterfaces);
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { IsBackground = true, Name = "capture" };
        _thread.Start();
    }

    /// <summary>Packets captured, and packets that the kernel dropped because they were not read in time; both since the start.</summary>
    public (long Received, long Dropped) Counts => (Volatile.Read(ref _received), Volatile.Read(ref _dropped));

    /// <summary>The reason why it cannot capture somewhere; null if it captures everywhere.</summary>
    public string? Failure => _opener.Failure;

    /// <summary>Changes the captures to an order, and does not wait for it.</summary>
    /// <param name="order">The new order.</param>
    /// <returns>An event that is set once the order is done.</returns>
    public ManualResetEventSlim Update(CaptureOpener.Order order) => _opener.Wants(order);

    /// <summary>Ends the threads and closes everything.</summary>
    public void Dispose()
    {
        _opener.Dispose();
        _stop.Set();
        _thread.Join();
        while (_told.TryDequeue(out var action))
        {
            action();
        }
        _live.Dispose();
        _stop.Dispose();
    }

    /// <summary>Asks the other thread to stop using an interface.</summary>
    private ManualResetEvent Detach(RingCapture capture)
    {
        var detached = new ManualResetEvent(false);
        _told.Enqueue(() =>
        {
            _live.Detach(capture);
            detached.Set();
        });
        return detached;
    }

    private void Run()
    {
        var dense = false;
        for (var round = 0; !_stop.WaitOne(0); round++)
        {
            while (_told.TryDequeue(out var action))
            {
                action();
            }
            if (_live.Wait(WaitMilliseconds))
            {
                if (!dense)
                {
                    _stop.WaitOne(s_gather);
                }
                Take();
                dense = _live.Received - _received > LiveCapture.Dense;
                Volatile.Write(ref _received, _live.Received);
            }
            else
            {
                _listener.CheckOverdue();
            }
            if (round % 64 == 0 || _live.Overrun.Count > 0)
            {
                Volatile.Write(ref _dropped, _live.Dropped());
            }
        }
    }

    private void Take()
    {
        try
        {
            _listener.Take(_live);
            foreach (var scope in _live.Overrun)
            {
                _listener.Missed(scope);
            }
        }
        catch (InterfaceGoneException)
        {
            // The interface is gone. The opener sees that, and looks for others.
        }
    }

    [LoggerMessage(EventIds.CaptureFailed, LogLevel.Warning, "Probes are not captured everywhere: {Reason}")]
    private partial void LogFailed(string reason);
}
