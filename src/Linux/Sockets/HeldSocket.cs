namespace Keepalive.Linux.Sockets;

/// <summary>A <see cref="DuplicatedSocket"/> that outlives the call that made it. Until it is disposed the application's close(2) sends no FIN,
/// so that must be soon.</summary>
public readonly struct HeldSocket
{
    private readonly int _fd;

    internal HeldSocket(int fd) => _fd = fd;

    /// <summary>The descriptor, which closes it when disposed.</summary>
    public DuplicatedSocket Descriptor => new(_fd);
}
