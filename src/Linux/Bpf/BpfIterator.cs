using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Bpf;

/// <summary>Receives the records of an iterator one by one.</summary>
/// <typeparam name="TRecord">The records that the program writes, all of the same size.</typeparam>
public interface IBpfRecordVisitor<TRecord>
    where TRecord : unmanaged
{
    void Visit(in TRecord record);
}

/// <summary>A program that the kernel runs once for each of its objects of a kind when it is read.</summary>
public sealed unsafe class BpfIterator : IDisposable
{
    // The kernel fills eight pages at a time.
    private const int BufferSize = 64 * 1024;

    [ThreadStatic]
    private static byte[]? s_buffer;

    private readonly BpfLink _link;

    internal BpfIterator(BpfLink link) => _link = link;

    /// <summary>Begins a run over what the calling thread sees, its network namespace for example, and can be read by any thread.</summary>
    /// <exception cref="LinuxException">No memory, no descriptor.</exception>
    public BpfRun Begin()
    {
        var fd = BpfBpf.bpf_iter_create(_link.Number);
        return fd < 0 ? throw LinuxException.Last("bpf_iter_create") : new BpfRun(new FileDescriptor(fd));
    }

    /// <summary>Reads a run to its end.</summary>
    /// <exception cref="LinuxException">The kernel gave it up.</exception>
    public static void Read<TRecord, TVisitor>(BpfRun run, ref TVisitor visitor)
        where TRecord : unmanaged
        where TVisitor : IBpfRecordVisitor<TRecord>, allows ref struct => Read<TRecord, TVisitor>(run, Timeout.InfiniteTimeSpan, ref visitor);

    /// <summary>Reads a run to its end, or for some time: the kernel gives at most 32 KiB, or walks past a million objects, before that is looked at.</summary>
    /// <returns>Whether the end was reached; where not, another call goes on.</returns>
    /// <exception cref="LinuxException">The kernel gave it up.</exception>
    public static bool Read<TRecord, TVisitor>(BpfRun run, TimeSpan limit, ref TVisitor visitor)
        where TRecord : unmanaged
        where TVisitor : IBpfRecordVisitor<TRecord>, allows ref struct
    {
        ArgumentNullException.ThrowIfNull(run);
        var begun = Stopwatch.GetTimestamp();
        var buffer = s_buffer ??= GC.AllocateUninitializedArray<byte>(BufferSize, pinned: true);
        var size = Unsafe.SizeOf<TRecord>();
        var kept = run.Rest.Length;
        run.Rest.CopyTo(buffer, 0);
        for (var first = true; ; first = false)
        {
            if (!first && limit >= TimeSpan.Zero && Stopwatch.GetElapsedTime(begun) >= limit)
            {
                run.Rest = buffer[..kept];
                return false;
            }
            nint n;
            fixed (byte* p = buffer)
            {
                n = Unistd.read(run.Handle, p + kept, (nuint)(buffer.Length - kept));
            }
            if (n < 0 && Marshal.GetLastPInvokeError() is Errno.EINTR or Errno.EAGAIN)
            {
                continue;   // EAGAIN: a long way without a record
            }
            if (n < 0)
            {
                throw LinuxException.Last("read(bpf_iter)");
            }
            if (n == 0)
            {
                run.Rest = [];
                return true;
            }
            var rest = (ReadOnlySpan<byte>)buffer.AsSpan(0, kept + (int)n);
            for (; rest.Length >= size; rest = rest[size..])
            {
                visitor.Visit(in MemoryMarshal.AsRef<TRecord>(rest));
            }
            rest.CopyTo(buffer);
            kept = rest.Length;
        }
    }

    public void Dispose() => _link.Dispose();
}

/// <summary>One run of an iterator. It keeps the network namespace it was begun in alive until disposed.</summary>
public sealed class BpfRun : IDisposable
{
    internal BpfRun(FileDescriptor handle) => Handle = handle;

    internal FileDescriptor Handle { get; }

    /// <summary>The part of a record that was read last.</summary>
    internal byte[] Rest { get; set; } = [];

    public void Dispose() => Handle.Dispose();
}
