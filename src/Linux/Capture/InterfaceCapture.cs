using Keepalive.Linux.Packets;

namespace Keepalive.Linux.Capture;

/// <summary>Headers of the packets of one network interface. It stays with the namespace it was opened in, and keeps it alive. Used by one thread at a time.</summary>
public abstract class InterfaceCapture : IDisposable
{
    /// <summary>Ethernet with two VLAN tags, IPv6 with some extension headers, TCP with all options, and the byte of an old probe.</summary>
    public const int SnapLength = 192;

    private volatile bool _isGone;

    /// <summary>Its name in messages.</summary>
    public abstract string Name { get; }

    /// <summary>The link type of its frames.</summary>
    public abstract LinkType Link { get; }

    /// <summary>Whether nothing more will come.</summary>
    public bool IsGone => _isGone;

    /// <summary>To wait for packets on, as <see cref="CapturePoll"/> does.</summary>
    internal abstract int Descriptor { get; }

    /// <summary>The next packet at hand; its bytes stay until the next call.</summary>
    /// <param name="time">Nanoseconds since 1970.</param>
    /// <param name="data">The captured bytes.</param>
    /// <param name="wireLength">How many there were.</param>
    /// <exception cref="PcapException">The interface is gone.</exception>
    public abstract bool TryRead(out long time, out ReadOnlySpan<byte> data, out int wireLength);

    /// <summary>Packets that passed the filter, and those among them that found the ring full; both since the beginning.</summary>
    public abstract (uint Received, uint Dropped) Statistics();

    /// <summary>Notes that nothing more will come; its owner closes it.</summary>
    public void Abandon() => _isGone = true;

    public abstract void Dispose();
}
