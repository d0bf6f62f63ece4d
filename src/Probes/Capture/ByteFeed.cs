using System.Diagnostics;

namespace Keepalive.Probes.Capture;

/// <summary>A stream read from front to back through one buffer, which knows its place in it.</summary>
internal sealed class ByteFeed(Stream stream) : IDisposable
{
    /// <summary>The longest piece; of a longer packet only the front is of interest.</summary>
    public const int Window = 128 * 1024;

    private const int Small = 16 * 1024;

    private byte[] _buffer = GC.AllocateUninitializedArray<byte>(stream.CanSeek && stream.Length < Small ? Small : 4 * Window);
    private int _start;
    private int _end;
    private bool _atEnd;

    /// <summary>Offset in the stream of what is handed out next.</summary>
    public long Position { get; private set; }

    /// <summary>Looks at the next bytes without taking them: <paramref name="count"/>, at most <see cref="Window"/>, or what is left.</summary>
    public ReadOnlySpan<byte> Peek(int count)
    {
        if (_end - _start < count)
        {
            Fill(count);
        }
        return _buffer.AsSpan(_start, Math.Min(count, _end - _start));
    }

    /// <summary>The next bytes that need not be waited for.</summary>
    public ReadOnlySpan<byte> Buffered => new(_buffer, _start, _end - _start);

    /// <summary>Takes some of <see cref="Buffered"/>, which stay there until more is asked for.</summary>
    public void Take(int count)
    {
        _start += count;
        Position += count;
    }

    /// <summary>How many of the next <paramref name="count"/> bytes are there.</summary>
    /// <remarks>In a stream that cannot seek, bytes beyond the <see cref="Window"/> count as there until <see cref="Skip"/> has looked for them.</remarks>
    public long Available(long count)
    {
        var front = Peek((int)Math.Min(count, Window)).Length;
        if (front < Window)
        {
            return front;
        }
        return stream.CanSeek ? Math.Min(count, _end - _start + Math.Max(0, stream.Length - stream.Position)) : count;
    }

    /// <summary>Passes over bytes; returns how many there were.</summary>
    public long Skip(long count)
    {
        var begun = Position;
        while (count > 0)
        {
            if (_start == _end)
            {
                if (TrySeek(ref count))
                {
                    continue;
                }
                Fill(1);
                if (_start == _end)
                {
                    break;
                }
            }
            var step = (int)Math.Min(count, _end - _start);
            _start += step;
            Position += step;
            count -= step;
        }
        return Position - begun;
    }

    public void Dispose() => stream.Dispose();

    /// <summary>Moves on in a file without reading it, never beyond its end.</summary>
    private bool TrySeek(ref long count)
    {
        if (!stream.CanSeek || count < _buffer.Length)
        {
            return false;
        }
        var step = Math.Min(count, stream.Length - stream.Position);
        if (step <= 0)
        {
            return false;
        }
        stream.Seek(step, SeekOrigin.Current);
        Position += step;
        count -= step;
        return true;
    }

    private void Fill(int count)
    {
        Debug.Assert(count <= Window, "more than fits");
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }
        if (count > _buffer.Length)
        {
            Array.Resize(ref _buffer, 4 * Window);   // a small file that has grown, or claims to be larger
        }
        while (_end < count && !_atEnd)
        {
            var n = stream.Read(_buffer, _end, _buffer.Length - _end);
            _end += n;
            _atEnd = n == 0;
        }
    }
}
