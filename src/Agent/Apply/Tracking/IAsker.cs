namespace Keepalive.Agent.Apply.Tracking;

/// <summary>One way of writing to sockets that are to be asked.</summary>
internal interface IAsker
{
    /// <summary>Writes TCP_KEEPIDLE 1 to those that may be asked now, after the ledger has noted it.</summary>
    /// <param name="sockets">The sockets.</param>
    /// <param name="pass">The pass.</param>
    void Begin(List<AskedSocket> sockets, PassContext pass);

    /// <summary>Gives those that were written to their values again.</summary>
    /// <param name="sockets">The sockets.</param>
    /// <param name="isLast">Whether also those whose probe has not gone.</param>
    void End(List<AskedSocket> sockets, bool isLast);
}
