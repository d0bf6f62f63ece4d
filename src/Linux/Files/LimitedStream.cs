namespace Keepalive.Linux.Files;

/// <summary>A stream for reading that fails when more than a limit comes.</summary>
/// <param name="inner">The stream. It is disposed of together with this one.</param>
/// <param name="most">The greatest number of bytes.</param>
public sealed class LimitedStream(Stream inner, long most) : ForwardStream(FileAccess.Read)
{
    private long _read;

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer) => Count(inner.Read(buffer));

    /// <inheritdoc/>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        Count(await inner.ReadAsync(buffer, cancellationToken).ConfigureAwait(false));

    /// <inheritdoc/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            inner.Dispose();
        }
        base.Dispose(disposing);
    }

    private int Count(int read)
    {
        _read += read;
        return _read <= most ? read : throw new IOException($"more than {most / 1024 / 1024} MiB came");
    }
}
