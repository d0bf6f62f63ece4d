namespace Keepalive.Agent.Apply.Tracking;

/// <summary>Writes to the sockets that must send a probe.</summary>
internal interface IAsker
{
    /// <summary>Sets TCP_KEEPIDLE to 1 on the sockets that may be asked now. The ledger notes each of them first.</summary>
    /// <param name="sockets">The sockets.</param>
    /// <param name="pass">The pass.</param>
    void Begin(List<AskedSocket> sockets, PassContext pass);

    /// <summary>Restores the values of the sockets that were written.</summary>
    /// <param name="sockets">The sockets.</param>
    /// <param name="isLast">Whether to restore also the sockets whose probe was not sent yet.</param>
    void End(List<AskedSocket> sockets, bool isLast);
}
