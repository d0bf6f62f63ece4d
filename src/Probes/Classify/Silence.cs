namespace Keepalive.Probes.Classify;

/// <summary>The latest silence of a connection that was long enough for an idle timeout, and what it led to.</summary>
internal struct Silence
{
    /// <summary>Shorter ones are not noted, in nanoseconds: idle timeouts of balancers, NATs and firewalls are longer.</summary>
    public const long Least = 10_000_000_000;

    /// <summary>From the packet before it to the one that ended it, in nanoseconds.</summary>
    public long Length;

    /// <summary>The packet that ended it: its number, time and content.</summary>
    public long Frame;
    public long Time;
    public SilenceEnd EndedBy;

    /// <summary>Packets of that end since, with the first, to which nothing has come back.</summary>
    public int Sent;

    /// <summary>The longest silence after which the other end still answered, in nanoseconds; 0 for none.</summary>
    public long Survived;

    /// <summary>One more than the place in <see cref="BrokenConnections"/> of its record, which a later packet may refute; 0 for none.</summary>
    public int Record;
}

/// <summary>The content of the packet that ended a silence.</summary>
internal enum SilenceEnd : byte
{
    Acknowledgement,
    Data,
    Probe,
    Fin,
    Reset,
}
