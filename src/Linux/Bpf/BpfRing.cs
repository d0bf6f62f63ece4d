using System.Runtime.InteropServices;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Bpf;

/// <summary>Told of each sample of a ring; the bytes are the kernel's and are not to be kept.</summary>
public delegate void BpfSampleHandler(ReadOnlySpan<byte> sample);

/// <summary>The reading end of a ring buffer map.</summary>
public sealed unsafe class BpfRing : IDisposable
{
    private readonly BpfSampleHandler _handler;
    private GCHandle _self;
    private void* _ring;

    /// <exception cref="LinuxException">It cannot be mapped.</exception>
    public BpfRing(BpfMap map, BpfSampleHandler handler)
    {
        ArgumentNullException.ThrowIfNull(map);
        _handler = handler;
        _self = GCHandle.Alloc(this);
        _ring = BpfLibbpf.ring_buffer__new(
            map.Number, (delegate* unmanaged<void*, void*, nuint, int>)&Sample, (void*)GCHandle.ToIntPtr(_self), null);
        if (_ring is null)
        {
            var errno = Marshal.GetLastPInvokeError();
            _self.Free();
            throw new LinuxException("ring_buffer__new", errno);
        }
    }

    /// <summary>Hands over everything that is in it, on the calling thread, without waiting.</summary>
    public void Drain()
    {
        var n = BpfLibbpf.ring_buffer__consume(_ring);
        if (n < 0)
        {
            throw new LinuxException("ring_buffer__consume", -n);
        }
    }

    public void Dispose()
    {
        if (_ring is not null)
        {
            BpfLibbpf.ring_buffer__free(_ring);
            _ring = null;
            _self.Free();
        }
    }

    [UnmanagedCallersOnly]
    private static int Sample(void* context, void* data, nuint size)
    {
        // Nothing may be thrown across the library: handlers only take note.
        ((BpfRing)GCHandle.FromIntPtr((nint)context).Target!)._handler(new ReadOnlySpan<byte>(data, (int)size));
        return 0;
    }
}
