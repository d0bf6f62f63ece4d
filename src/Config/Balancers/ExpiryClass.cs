namespace Keepalive.Config.Balancers;

/// <summary>The behaviour of a balancer towards a connection whose idle timeout has passed.</summary>
/// <remarks>See <see cref="Refresh"/> for the packets that restart the idle clock.</remarks>
public enum ExpiryClass
{
    /// <summary>Forgets it without a word and drops what either end sends on it from then on.</summary>
    SilentDrop,

    /// <summary>Forgets it without a word and answers the next packet with a reset, to the end that sent it only.</summary>
    ResetOnNextPacket,

    /// <summary>Sends a reset to both ends when the timeout passes.</summary>
    ResetBoth,

    /// <summary>Closes both of its own connections when the timeout passes, as a proxy does: each end gets a FIN.</summary>
    FinBoth,

    /// <summary>As <see cref="SilentDrop"/>, but a new SYN between the same ports makes a new connection.</summary>
    DropUntilSyn,

    /// <summary>Drops what comes from outside until the inside end sends something, which makes the connection known again.</summary>
    InsideRevives,
}
