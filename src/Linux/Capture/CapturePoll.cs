using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Capture;

/// <summary>Waits for packets on any of several interfaces.</summary>
public sealed class CapturePoll
{
    private SysPoll.pollfd[] _descriptors = [];
    private int _count;

    /// <summary>Sets what to wait for.</summary>
    public void Watch(IReadOnlyList<InterfaceCapture> captures)
    {
        if (_descriptors.Length < captures.Count)
        {
            _descriptors = new SysPoll.pollfd[captures.Count * 2];
        }
        _count = captures.Count;
        for (var i = 0; i < _count; i++)
        {
            _descriptors[i] = new SysPoll.pollfd { fd = captures[i].Descriptor, events = SysPoll.POLLIN };
        }
    }

    /// <summary>Waits, at most so long; returns on how many there is something to read.</summary>
    public unsafe int Wait(int milliseconds)
    {
        fixed (SysPoll.pollfd* descriptors = _descriptors)
        {
            var ready = SysPoll.poll(descriptors, (nuint)_count, milliseconds);
            return ready >= 0 || Marshal.GetLastPInvokeError() == Errno.EINTR ? Math.Max(0, ready) : throw LinuxException.Last("poll");
        }
    }

    /// <summary>Whether there is something to read, or to learn by trying, on one of those watched.</summary>
    public bool IsReady(int index) => _descriptors[index].revents != 0;
}
