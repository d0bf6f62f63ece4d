using Keepalive.Linux.Packets;

namespace Keepalive.Probes.Capture;

/// <summary>Where packets come from: a capture file, live interfaces, or a test.</summary>
internal interface IPacketSource : IDisposable
{
    /// <summary>The next packet at hand.</summary>
    /// <returns>False when there is none: for good in a file, for now in a live capture.</returns>
    /// <exception cref="CaptureException">The source is damaged or gone; what was returned before stands.</exception>
    bool TryRead(out CapturedPacket packet);
}

/// <summary>A capture cannot be read any further. The message says where, and what is wrong there.</summary>
internal class CaptureException(string message) : Exception(message);
