using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Sockets;

/// <summary>Whose values a socket has.</summary>
internal enum SocketHolder : byte
{
    /// <summary>The agent wrote them.</summary>
    Agent,

    /// <summary>The application set them first, and the agent has not changed them.</summary>
    Kept,

    /// <summary>The application changed them after the agent's first look.</summary>
    Application,
}

/// <summary>The memory of a socket from pass to pass and, through the state file, from one agent to the next.</summary>
/// <param name="Holder">Whose values it has.</param>
/// <param name="Found">Its values at the agent's first look, to be restored.</param>
/// <param name="Set">The values that the agent wrote; equal to <paramref name="Found"/> if it wrote nothing.</param>
/// <param name="Replaces">Not null only after a crash between noting the intent and finishing the write: the values that were being
/// replaced.</param>
internal readonly record struct SocketMemory(
    SocketHolder Holder, KeepaliveOptions Found, KeepaliveOptions Set, KeepaliveOptions? Replaces = null)
{
    /// <summary>The same for its user timeout, if its policy is about that. Null if the agent has never changed it.</summary>
    public UserTimeoutMemory? UserTimeout { get; init; }

    /// <summary>Whether the unfinished write was made to send one probe. The values that it replaces must then be restored.</summary>
    public bool IsAsk => Holder == SocketHolder.Agent && Replaces is { Time: > 1 } old && Set == old with { Time = 1 };

    public static SocketMemory OfApplication { get; } = new(SocketHolder.Application, default, default);

    public static SocketMemory OfAgent(KeepaliveOptions found, KeepaliveOptions set) => new(SocketHolder.Agent, found, set);

    public static SocketMemory OfKept(KeepaliveOptions found) => new(SocketHolder.Kept, found, found);

    /// <summary>Whether <paramref name="current"/> equals the values of the last write, so that nobody else has changed them
    /// since.</summary>
    /// <remarks>A write that was interrupted may have stored any part of the new values.</remarks>
    public bool IsAsLeft(KeepaliveOptions current)
    {
        if (Holder == SocketHolder.Application || current == Set)
        {
            return true;
        }
        return Replaces is { } old
            && (current.Enabled == old.Enabled || current.Enabled == Set.Enabled)
            && (current.Time == old.Time || current.Time == Set.Time)
            && (current.Interval == old.Interval || current.Interval == Set.Interval)
            && (current.Probes == old.Probes || current.Probes == Set.Probes);
    }
}
