using Keepalive.Linux;
using Keepalive.Linux.Capture;

namespace Keepalive.Agent.Capture;

/// <summary>Packets of several interfaces, in the order in which they are found there. Used by one thread.</summary>
internal sealed class LiveCapture : IPacketSource
{
    private readonly Dictionary<InterfaceCapture, int> _scopes = [];
    private readonly CapturePoll _poll = new();
    private readonly List<InterfaceCapture> _ready = [];
    private int _next;
    private long _number;
    private long _droppedBefore;

    public IReadOnlyCollection<InterfaceCapture> Captures => _scopes.Keys;

    /// <summary>Packets handed out.</summary>
    public long Received => _number;

    /// <summary>Adds an interface, which is this object's from then on.</summary>
    public void Add(InterfaceCapture capture, int scope)
    {
        try
        {
            _poll.Add(capture);
            _scopes.Add(capture, scope);
        }
        catch (LinuxException)
        {
            capture.Dispose();   // as one that has gone
        }
    }

    /// <summary>Closes an interface.</summary>
    public void Remove(InterfaceCapture capture)
    {
        if (_scopes.Remove(capture))
        {
            _droppedBefore += capture.Statistics().Dropped;
            _poll.Remove(capture);
            _ready.Clear();
            _next = 0;
            capture.Dispose();
        }
    }

    /// <summary>Waits for packets, at most so long; whether there are any.</summary>
    public bool Wait(int milliseconds)
    {
        _next = 0;
        _poll.Wait(milliseconds, _ready);
        return _ready.Count > 0;
    }

    public bool TryRead(out CapturedPacket packet)
    {
        for (; _next < _ready.Count; _next++)
        {
            var capture = _ready[_next];
            try
            {
                if (capture.TryRead(out var time, out var data, out var wireLength))
                {
                    packet = new CapturedPacket(++_number, time, capture.Link, data, wireLength, _scopes[capture]);
                    return true;
                }
            }
            catch (PcapException e)
            {
                Remove(capture);
                throw new InterfaceGoneException(e.Message);
            }
        }
        packet = default;
        return false;
    }

    /// <summary>Packets that the kernel dropped because they were not taken in time, since the beginning.</summary>
    public long Dropped() => _droppedBefore + _scopes.Keys.Sum(static capture => (long)capture.Statistics().Dropped);

    public void Dispose()
    {
        foreach (var capture in _scopes.Keys)
        {
            capture.Dispose();
        }
        _scopes.Clear();
        _poll.Dispose();
    }
}

/// <summary>An interface went down or away; the capture on it is closed.</summary>
internal sealed class InterfaceGoneException(string message) : CaptureException(message);
