using System.Diagnostics.CodeAnalysis;
using System.IO.Compression;
using Keepalive.Agent.Metrics;

namespace Keepalive.Agent.Serving;

/// <summary>The text of /metrics, made once for all who ask at the same time.</summary>
/// <remarks>
/// However many scrape, it is written once a second. Buffers are leased: one that a slow reader still has is not written to, and those that come back are used
/// again.
/// </remarks>
internal sealed class MetricsPage(MetricRegistry metrics, TimeProvider time)
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private static readonly TimeSpan s_fresh = TimeSpan.FromSeconds(1);

    /// <summary>Buffers kept for the next rendering.</summary>
    private const int MaxSpare = 4;

    private readonly Lock _lock = new();
    private readonly Stack<Body> _spare = new();
    private Body? _current;

    /// <summary>The text as it is now, until the lease is disposed of.</summary>
    public Lease Rent(bool gzip)
    {
        lock (_lock)
        {
            if (_current is null || time.GetElapsedTime(_current.At) > s_fresh)
            {
                var old = _current;
                _current = Make();
                Return(old);
            }
            _current.Leases++;
            return new Lease(this, _current, gzip ? _current.Compressed() : _current.Text());
        }
    }

    private Body Make()
    {
        var body = _spare.TryPop(out var spare) ? spare : new Body();
        body.Leases = 1;
        body.At = time.GetTimestamp();
        body.Write(metrics);
        return body;
    }

    private void Return(Body? body)
    {
        if (body is not null && --body.Leases == 0 && _spare.Count < MaxSpare)
        {
            _spare.Push(body);
        }
    }

    /// <summary>A rendering that is not written to as long as somebody has it.</summary>
    internal readonly struct Lease(MetricsPage owner, Body body, ReadOnlyMemory<byte> bytes) : IDisposable
    {
        public ReadOnlyMemory<byte> Bytes { get; } = bytes;

        public void Dispose()
        {
            lock (owner._lock)
            {
                owner.Return(body);
            }
        }
    }

    /// <summary>One rendering. Guarded by the lock.</summary>
    [SuppressMessage("Design", "CA1001", Justification = "A MemoryStream holds nothing but memory.")]
    internal sealed class Body
    {
        private readonly MemoryStream _text = new();
        private readonly MemoryStream _compressed = new();

        public long At { get; set; }

        public int Leases { get; set; }

        public void Write(MetricRegistry metrics)
        {
            _text.SetLength(0);
            _compressed.SetLength(0);
            metrics.Write(_text);
        }

        public ReadOnlyMemory<byte> Text() => _text.GetBuffer().AsMemory(0, (int)_text.Length);

        public ReadOnlyMemory<byte> Compressed()
        {
            if (_compressed.Length == 0)
            {
                using var gzip = new GZipStream(_compressed, CompressionLevel.Fastest, leaveOpen: true);
                gzip.Write(Text().Span);
            }
            return _compressed.GetBuffer().AsMemory(0, (int)_compressed.Length);
        }
    }
}
