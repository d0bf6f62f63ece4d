using System.Runtime.InteropServices;
using Keepalive.Linux;
using Keepalive.Linux.Capture;
using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Capture;

/// <summary>Packets of several interfaces, in the order in which they are found there. Used by one thread.</summary>
internal sealed class LiveCapture : IPacketSource
{
    /// <summary>Packets taken from an interface at a time that its ring may have been full of: it has some hundred slots.</summary>
    public const int Dense = 64;

    private readonly Dictionary<InterfaceCapture, (int Scope, uint Dropped)> _captures = [];
    private readonly List<int> _overrun = [];
    private readonly CapturePoll _poll = new();
    private readonly List<InterfaceCapture> _ready = [];
    private int _next;
    private int _taken;
    private long _number;
    private long _droppedBefore;

    public IReadOnlyCollection<InterfaceCapture> Captures => _captures.Keys;

    /// <summary>Scopes of the interfaces whose rings have overrun since the last wait.</summary>
    public IReadOnlyList<int> Overrun => _overrun;

    /// <summary>Packets handed out.</summary>
    public long Received => _number;

    /// <summary>Adds an interface, which is this object's from then on.</summary>
    public void Add(InterfaceCapture capture, int scope)
    {
        try
        {
            _poll.Add(capture);
            _captures.Add(capture, (scope, 0));
        }
        catch (LinuxException)
        {
            capture.Abandon();   // as one that has gone
        }
    }

    /// <summary>Lets go of an interface, which is the caller's again.</summary>
    public void Detach(InterfaceCapture capture)
    {
        if (_captures.Remove(capture))
        {
            _droppedBefore += capture.Statistics().Dropped;
            _poll.Remove(capture);
            _ready.Clear();
            (_next, _taken) = (0, 0);
        }
    }

    /// <summary>Waits for packets, at most so long; whether there are any.</summary>
    public bool Wait(int milliseconds)
    {
        (_next, _taken) = (0, 0);
        _overrun.Clear();
        _poll.Wait(milliseconds, _ready);
        return _ready.Count > 0;
    }

    public bool TryRead(out CapturedPacket packet)
    {
        for (; _next < _ready.Count; (_next, _taken) = (_next + 1, 0))
        {
            var capture = _ready[_next];
            try
            {
                if (capture.TryRead(out var time, out var data, out var wireLength))
                {
                    _taken++;
                    packet = new CapturedPacket(++_number, time, capture.Link, data, wireLength, _captures[capture].Scope);
                    return true;
                }
                if (_taken >= Dense)
                {
                    LookForOverrun(capture);
                }
            }
            catch (PcapException e)
            {
                Detach(capture);
                capture.Abandon();
                throw new InterfaceGoneException(e.Message);
            }
        }
        packet = default;
        return false;
    }

    /// <summary>Packets that the kernel dropped because they were not taken in time, since the beginning.</summary>
    public long Dropped() => _droppedBefore + _captures.Keys.Sum(static capture => (long)capture.Statistics().Dropped);

    private void LookForOverrun(InterfaceCapture capture)
    {
        ref var known = ref CollectionsMarshal.GetValueRefOrNullRef(_captures, capture);
        if (capture.Statistics().Dropped is var dropped && dropped != known.Dropped)
        {
            known.Dropped = dropped;
            _overrun.Add(known.Scope);
        }
    }

    public void Dispose()
    {
        foreach (var capture in _captures.Keys)
        {
            capture.Dispose();
        }
        _captures.Clear();
        _poll.Dispose();
    }
}

/// <summary>An interface went down or away; the capture on it is closed.</summary>
internal sealed class InterfaceGoneException(string message) : CaptureException(message);
