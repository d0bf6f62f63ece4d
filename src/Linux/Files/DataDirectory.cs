using System.Buffers;

namespace Keepalive.Linux.Files;

/// <summary>A directory of <see cref="SealedFile"/>s that survive a reboot. One process at a time writes to it.</summary>
/// <remarks>Without the directory the program works, and knows less after a restart. So no failure here is an exception.</remarks>
public sealed class DataDirectory : IDisposable
{
    private readonly InstanceLock? _lock;

    private DataDirectory(string path, InstanceLock? held, string? problem) => (Location, _lock, Problem) = (path, held, problem);

    public string Location { get; }

    /// <summary>Why nothing can be written; null if it can.</summary>
    public string? Problem { get; }

    /// <summary>Creates the directory if it is missing, and takes its lock if that is free.</summary>
    public static DataDirectory Open(string path)
    {
        try
        {
            OwnDirectory.Create(path);
            var lockPath = Path.Combine(path, "lock");
            return InstanceLock.TryAcquire(lockPath) is { } held
                ? new DataDirectory(path, held, null)
                : new DataDirectory(path, null, $"{path} is in use by another process (pid {InstanceLock.Holder(lockPath)})");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new DataDirectory(path, null, e.Message);
        }
    }

    /// <inheritdoc cref="SealedFile.Read"/>
    public ReadOnlyMemory<byte>? Read(string name, string format, int most, out string? problem)
    {
        // Files that another user could have put there are not read.
        problem = OwnDirectory.Problem(Location);
        return problem is null ? SealedFile.Read(Path.Combine(Location, name), format, most, out problem) : null;
    }

    /// <summary>Replaces a file. Returns why that failed; null if it did not.</summary>
    public string? Write(string name, string format, ReadOnlySpan<byte> content) => Write(name, format, new ReadOnlySequence<byte>(content.ToArray()));

    /// <inheritdoc cref="Write(string, string, ReadOnlySpan{byte})"/>
    public string? Write(string name, string format, in ReadOnlySequence<byte> content)
    {
        if (Problem is not null)
        {
            return Problem;
        }
        try
        {
            SealedFile.Write(Path.Combine(Location, name), format, in content);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }

    public void Dispose() => _lock?.Dispose();
}
