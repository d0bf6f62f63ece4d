namespace Keepalive.Agent.Kubernetes;

/// <summary>The intervals and limits of watches. The defaults are for thousands of nodes at one server.</summary>
internal sealed record WatchTiming
{
    /// <summary>The time in which each kind is first requested, at a random moment: nodes that start together do not send requests
    /// together.</summary>
    public TimeSpan StartWithin { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The first wait after a failure. Each further wait is twice as long, with a jitter of plus or minus half.</summary>
    public TimeSpan Backoff { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The longest wait, with its jitter, while nothing is known of any kind. No policy may be in force then.</summary>
    public TimeSpan MaxWhileUnknown { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a connection to the server may take.</summary>
    public TimeSpan ConnectWithin { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The time after which a watch counts as good. The next request after a good watch is sent without a wait.</summary>
    public TimeSpan GoodAfter { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The time after which the server ends a watch: at least this time, and at most twice this time.</summary>
    public TimeSpan WatchFor { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a watch may be quiet before it counts as broken. Servers send a bookmark about every minute.</summary>
    public TimeSpan QuietFor { get; init; } = TimeSpan.FromSeconds(150);

    /// <summary>How long a server may send nothing in the middle of a list.</summary>
    public TimeSpan ListQuietFor { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How often to request a kind that the server does not have, if no definition shows that it was added.</summary>
    public TimeSpan LookForAbsent { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a kind may be missing before its objects count as gone. A server that starts does not know all of its kinds
    /// yet.</summary>
    public TimeSpan GoneAfter { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>The time after one Event in which the next is written, at a random moment: nodes with the same Events do not write
    /// together.</summary>
    public TimeSpan EventsWithin { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The number of objects in one piece of a list.</summary>
    public int ListChunk { get; init; } = 500;
}
