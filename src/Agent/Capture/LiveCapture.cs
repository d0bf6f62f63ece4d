using Keepalive.Linux.Capture;

namespace Keepalive.Agent.Capture;

/// <summary>Packets of several interfaces, in the order in which they are found there. Used by one thread.</summary>
internal sealed class LiveCapture : IPacketSource
{
    private readonly List<InterfaceCapture> _captures = [];
    private readonly List<int> _scopes = [];
    private readonly CapturePoll _poll = new();
    private int _next;
    private long _number;
    private bool _ready;
    private long _droppedBefore;

    public IReadOnlyList<InterfaceCapture> Captures => _captures;

    /// <summary>Packets handed out.</summary>
    public long Received => _number;

    /// <summary>Adds an interface, which is this object's from then on.</summary>
    public void Add(InterfaceCapture capture, int scope)
    {
        _captures.Add(capture);
        _scopes.Add(scope);
        _poll.Watch(_captures);
    }

    /// <summary>Closes an interface.</summary>
    public void Remove(InterfaceCapture capture)
    {
        if (_captures.IndexOf(capture) is var index and >= 0)
        {
            _droppedBefore += capture.Statistics().Dropped;
            _captures.RemoveAt(index);
            _scopes.RemoveAt(index);
            _poll.Watch(_captures);
            _next = 0;
            capture.Dispose();
        }
    }

    /// <summary>Waits for packets, at most so long; whether there are any.</summary>
    public bool Wait(int milliseconds)
    {
        _next = 0;
        return _ready = _poll.Wait(milliseconds) > 0;
    }

    public bool TryRead(out CapturedPacket packet)
    {
        for (; _ready && _next < _captures.Count; _next++)
        {
            if (!_poll.IsReady(_next))
            {
                continue;
            }
            var capture = _captures[_next];
            try
            {
                if (capture.TryRead(out var time, out var data, out var wireLength))
                {
                    packet = new CapturedPacket(++_number, time, capture.Link, data, wireLength, _scopes[_next]);
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
    public long Dropped() => _droppedBefore + _captures.Sum(static capture => (long)capture.Statistics().Dropped);

    public void Dispose()
    {
        _captures.ForEach(capture => capture.Dispose());
        _captures.Clear();
    }
}

/// <summary>An interface went down or away; the capture on it is closed.</summary>
internal sealed class InterfaceGoneException(string message) : CaptureException(message);
