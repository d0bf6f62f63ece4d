using Keepalive.Probes.Capture;

namespace Keepalive.Agent.Capture;

/// <summary>Whoever is told what is captured. Called on the threads of the captures.</summary>
internal interface ICaptureListener
{
    /// <summary>Takes all packets that a source has now.</summary>
    void Take(IPacketSource source);

    /// <summary>Packets of a namespace were lost.</summary>
    /// <param name="scope">What its packets are marked with.</param>
    void Missed(int scope);

    /// <summary>Some time has passed, with packets or without.</summary>
    void CheckOverdue();

    /// <summary>Which addresses are a namespace's own.</summary>
    void SetLocalAddresses(ulong inode, IEnumerable<UInt128> addresses);
}
