using System.Diagnostics.CodeAnalysis;
using System.IO.Compression;
using Keepalive.Agent.Metrics;

namespace Keepalive.Agent.Serving;

/// <summary>The text of /metrics, made once for all who ask at the same time.</summary>
/// <remarks>
/// It changes with each pass, and with what was captured and the process's own figures, for which a second is soon enough: however many scrape, it is written
/// once a second or pass. Buffers are leased: one that a slow reader still has is not written to, and those that come back are used again.
/// </remarks>
internal sealed class Scrapes(Exposition exposition, AgentStatus status, TimeProvider time)
{
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);

    /// <summary>Buffers kept for the next rendering.</summary>
    private const int MostSpare = 4;

    private readonly Lock _lock = new();
    private readonly Stack<Body> _spare = new();
    private Body? _current;

    /// <summary>The text as it is now, until the lease is disposed of.</summary>
    public Lease Rent(bool gzip)
    {
        lock (_lock)
        {
            if (_current is null || !ReferenceEquals(_current.Of, status.Current) || time.GetElapsedTime(_current.At) > Fresh)
            {
                status.Renew();
                var old = _current;
                _current = Make();
                Return(old);
            }
            _current.Leases++;
            return new Lease(this, _current, gzip ? _current.Compressed() : _current.Text.Written);
        }
    }

    private Body Make()
    {
        var body = _spare.TryPop(out var spare) ? spare : new Body();
        body.Clear();
        body.Leases = 1;
        body.Of = status.Current;
        body.At = time.GetTimestamp();
        exposition.Write(body.Text);
        return body;
    }

    private void Return(Body? body)
    {
        if (body is not null && --body.Leases == 0 && _spare.Count < MostSpare)
        {
            _spare.Push(body);
        }
    }

    /// <summary>A rendering that is not written to as long as somebody has it.</summary>
    internal readonly struct Lease(Scrapes owner, Body body, ReadOnlyMemory<byte> bytes) : IDisposable
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
        private readonly MemoryStream _compressed = new();

        public MetricText Text { get; } = new();

        public AgentStatus.Gauges? Of { get; set; }

        public long At { get; set; }

        public int Leases { get; set; }

        public ReadOnlyMemory<byte> Compressed()
        {
            if (_compressed.Length == 0)
            {
                using var gzip = new GZipStream(_compressed, CompressionLevel.Fastest, leaveOpen: true);
                gzip.Write(Text.Written.Span);
            }
            return _compressed.GetBuffer().AsMemory(0, (int)_compressed.Length);
        }

        public void Clear()
        {
            Text.Truncate(0);
            _compressed.SetLength(0);
        }
    }
}
