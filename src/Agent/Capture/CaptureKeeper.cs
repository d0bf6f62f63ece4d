using System.Collections.Concurrent;
using Keepalive.Agent.Log;
using Keepalive.Linux.Capture;
using Keepalive.Probes.Capture;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Capture;

/// <summary>Captures in the namespaces that have connections to be watched, on the interfaces these use, and nowhere else.</summary>
/// <remarks>
/// <code>
///   pass ──► what is wanted ──► CaptureOpener ──► interfaces ──► packets ──► ICaptureListener
///                                 └────── a thread ──────┘       └─────── another ───────┘
/// </code>
/// A packet socket keeps its namespace alive: it is closed with the last watched connection there.
/// </remarks>
internal sealed partial class CaptureKeeper : IDisposable
{
    /// <summary>How long the thread waits without a packet, to see whether it is told something.</summary>
    private const int WaitMilliseconds = 100;

    /// <summary>Packets are taken many at a time: the rings have room for more than come in this time where they come one by one.</summary>
    private static readonly TimeSpan s_gather = TimeSpan.FromMilliseconds(20);

    private readonly ICaptureListener _listener;
    private readonly ILogger _logger;
    private readonly LiveCapture _live = new();
    private readonly ConcurrentQueue<Action> _told = new();
    private readonly ManualResetEvent _stop = new(false);   // not the slim one, which spins before it waits
    private readonly CaptureOpener _opener;
    private readonly Thread _thread;
    private long _dropped;
    private long _received;

    /// <param name="listener">Takes the packets.</param>
    /// <param name="logger">Told what keeps it from capturing.</param>
    /// <param name="mostInterfaces">On how many interfaces to capture at a time.</param>
    public CaptureKeeper(ICaptureListener listener, ILogger logger, int mostInterfaces)
    {
        _listener = listener;
        _logger = logger;
        _opener = new CaptureOpener(listener, (capture, scope) => _told.Enqueue(() => _live.Add(capture, scope)), Detach, LogFailed, mostInterfaces);
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { IsBackground = true, Name = "capture" };
        _thread.Start();
    }

    /// <summary>Packets taken, and those the kernel dropped because they were not taken in time; both since the beginning.</summary>
    public (long Received, long Dropped) Counts => (Volatile.Read(ref _received), Volatile.Read(ref _dropped));

    /// <summary>What keeps it from capturing somewhere, null where nothing does.</summary>
    public string? Failure => _opener.Failure;

    /// <summary>Brings the captures into line with what is wanted, and does not wait for it.</summary>
    /// <param name="order">What is wanted.</param>
    /// <returns>Set once it is so.</returns>
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

    /// <summary>Has the other thread let go of an interface.</summary>
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
            // It is let go of. The opener sees that, and looks for others.
        }
    }

    [LoggerMessage(EventIds.CaptureFailed, LogLevel.Warning, "Probes are not captured everywhere: {Reason}")]
    private partial void LogFailed(string reason);
}
