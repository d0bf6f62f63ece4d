namespace Keepalive.Config;

/// <summary>Which ends of a connection a policy selects sockets by.</summary>
public enum Side
{
    /// <summary>Sockets whose remote end is the destination.</summary>
    Client,

    /// <summary>Those, and accepted sockets whose local end is the destination.</summary>
    Both,
}
