using Keepalive.Linux;
using Keepalive.Linux.Capture;
using Keepalive.Linux.Files;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Capture;

namespace Keepalive.Agent.Commands;

/// <summary>The file of <c>--write</c>, with the captured packets. If a write fails, the file ends with the last whole packet.</summary>
internal sealed class CaptureCopy : IDisposable
{
    private readonly string _path;
    private OutgoingStream? _stream;
    private PcapWriter? _writer;

    private CaptureCopy(string path) => _path = path;

    /// <summary>Why it cannot be written; null without a failure.</summary>
    public string? Failure { get; private set; }

    /// <summary>Creates the file, or empties the existing one.</summary>
    /// <param name="path">Its path. If it is a FIFO, the call waits for a reader.</param>
    /// <param name="link">The link type of the frames.</param>
    /// <param name="stop">Ends the wait for a reader.</param>
    public static CaptureCopy Create(string path, LinkType link, CancellationToken stop)
    {
        var copy = new CaptureCopy(path);
        var isWaiting = false;
        copy.Try(() =>
        {
            copy._stream = OutgoingStream.Create(path, Wait);
            copy._writer = new PcapWriter(copy._stream, link, InterfaceCapture.SnapLength);
            copy._writer.Begin();
        });
        return copy;

        void Wait()
        {
            stop.ThrowIfCancellationRequested();
            if (!isWaiting)
            {
                Complaint.Say($"--write: waiting for a reader of {path}");
                isWaiting = true;
            }
        }
    }

    public void Add(in CapturedPacket packet)
    {
        if (Failure is null && !_writer!.TryAdd(in packet))
        {
            Flush();
            _writer.TryAdd(in packet);
        }
    }

    /// <summary>Writes the added packets to the file, so that others can read them.</summary>
    public void Flush()
    {
        if (Failure is null)
        {
            Try(_writer!.Flush);
        }
    }

    public void Dispose() => _stream?.Dispose();

    private void Try(Action write)
    {
        try
        {
            write();
        }
        catch (LinuxException e)
        {
            var why = e.Errno switch
            {
                Errno.EISDIR => $"{_path} is a directory",
                Errno.ENOENT => $"there is no directory {Path.GetDirectoryName(Path.GetFullPath(_path))}",
                _ => $"{_path}: {e.Message}",
            };
            Failure = $"--write: {why}{(_writer is null ? "" : $"; packets kept: {_writer.Packets}")}";
        }
        catch (OperationCanceledException)
        {
            Failure = $"--write: {_path}: {(_writer is null ? "there is no reader" : $"its reader does not read on; packets kept: {_writer.Packets}")}";
        }
    }
}
