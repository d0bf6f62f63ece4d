using Keepalive.Probes.Capture;

namespace Keepalive.Agent.Capture;

/// <summary>The receiver of captured packets. Called on the threads of the captures.</summary>
internal interface ICaptureListener
{
    /// <summary>Reads all packets that a source has now.</summary>
    void Take(IPacketSource source);

    /// <summary>Records that packets of a namespace were dropped.</summary>
    /// <param name="scope">The mark of its packets.</param>
    void Missed(int scope);

    /// <summary>Checks for overdue packets. Called from time to time while no packets come.</summary>
    void CheckOverdue();

    /// <summary>Sets the own addresses of a namespace.</summary>
    void SetLocalAddresses(ulong inode, IEnumerable<UInt128> addresses);
}
