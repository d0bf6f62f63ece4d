using System.Text;

namespace Keepalive.Agent.Support;

/// <summary>The first and the last lines of a text of any length: the last one often says why a program failed.</summary>
/// <param name="most">The number of bytes to keep of each end.</param>
internal sealed class EndsOfText(int most)
{
    private readonly byte[] _first = new byte[most];
    private readonly byte[] _last = new byte[most];
    private int _firstLength;
    private long _afterFirst;

    /// <summary>Adds what comes next.</summary>
    public void Add(ReadOnlySpan<byte> bytes)
    {
        var toFirst = Math.Min(bytes.Length, most - _firstLength);
        bytes[..toFirst].CopyTo(_first.AsSpan(_firstLength));
        _firstLength += toFirst;
        foreach (var one in bytes[toFirst..])
        {
            _last[_afterFirst++ % most] = one;
        }
    }

    /// <summary>The lines. Between both ends, lines that are not whole are omitted.</summary>
    public override string ToString()
    {
        var last = new byte[Math.Min(_afterFirst, most)];
        for (var i = 0; i < last.Length; i++)
        {
            last[i] = _last[(_afterFirst - last.Length + i) % most];
        }
        ReadOnlySpan<byte> first = _first.AsSpan(0, _firstLength);
        return _afterFirst <= most
            ? Encoding.UTF8.GetString([.. first, .. last])
            : Encoding.UTF8.GetString([.. first[..(first.LastIndexOf((byte)'\n') + 1)], .. last.AsSpan(last.AsSpan().IndexOf((byte)'\n') + 1)]);
    }
}
