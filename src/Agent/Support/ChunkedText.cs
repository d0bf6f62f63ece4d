using System.Buffers;

namespace Keepalive.Agent.Support;

/// <summary>A text of some megabytes that is written once and then garbage. In one piece it would be copied each time that it grows, and the
/// collector keeps large pieces for long.</summary>
internal sealed class ChunkedText : IBufferWriter<byte>
{
    private const int Chunk = 32 * 1024;

    private readonly List<Part> _parts = [];
    private byte[] _chunk = [];
    private int _used;
    private long _before;

    public long Length => _before + _used;

    public void Advance(int count) => _used += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        if (_chunk.Length - _used < Math.Max(1, sizeHint))
        {
            Close();
            _chunk = new byte[Math.Max(Chunk, sizeHint)];
        }
        return _chunk.AsMemory(_used);
    }

    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    /// <summary>Removes everything behind a length that it had before.</summary>
    public void Cut(long length)
    {
        Close();
        while (_parts.Count > 0 && _parts[^1].RunningIndex >= length)
        {
            _parts.RemoveAt(_parts.Count - 1);
        }
        if (_parts.Count > 0)
        {
            var last = _parts[^1];
            _parts[^1] = last.First((int)(length - last.RunningIndex));
        }
        _before = length;
    }

    /// <summary>What was written so far.</summary>
    public ReadOnlySequence<byte> Written
    {
        get
        {
            Close();
            for (var i = 1; i < _parts.Count; i++)
            {
                _parts[i - 1].Append(_parts[i]);
            }
            return _parts.Count == 0 ? ReadOnlySequence<byte>.Empty : new ReadOnlySequence<byte>(_parts[0], 0, _parts[^1], _parts[^1].Memory.Length);
        }
    }

    /// <summary>Ends the current chunk. The rest of it is not used.</summary>
    private void Close()
    {
        if (_used > 0)
        {
            _parts.Add(new Part(_chunk.AsMemory(0, _used), _before));
            _before += _used;
        }
        (_chunk, _used) = ([], 0);
    }

    private sealed class Part : ReadOnlySequenceSegment<byte>
    {
        public Part(ReadOnlyMemory<byte> memory, long index) => (Memory, RunningIndex) = (memory, index);

        public Part First(int length) => new(Memory[..length], RunningIndex);

        public void Append(Part next) => Next = next;
    }
}
