namespace Keepalive.Agent.Kubernetes;

/// <summary>How often and how long. The defaults are for thousands of nodes at one server.</summary>
internal sealed record WatchTiming
{
    /// <summary>Each kind is first asked for at some moment within this time: nodes that start together do not ask together.</summary>
    public TimeSpan StartWithin { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The first wait after a failure; each further one is twice as long, give or take half of it.</summary>
    public TimeSpan Backoff { get; init; } = TimeSpan.FromSeconds(1);

    public TimeSpan LongestBackoff { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>A watch that lasted this long was a good one: what comes after it is not held up.</summary>
    public TimeSpan GoodAfter { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The server is to end a watch after a time between this and twice this.</summary>
    public TimeSpan WatchFor { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>A watch on which nothing came for this long is taken to be broken. Servers send a bookmark about every minute.</summary>
    public TimeSpan QuietFor { get; init; } = TimeSpan.FromSeconds(150);

    /// <summary>How often a kind that the server does not have is asked for again, where nothing else would tell that it came.</summary>
    public TimeSpan LookForAbsent { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long a kind may be missing before its objects count as gone: a server that starts does not know all of its kinds yet.</summary>
    public TimeSpan GoneAfter { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>Each Event is written at some moment within this time after the one before: nodes that see the same do not write together.</summary>
    public TimeSpan EventsWithin { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Objects to be sent in one piece of a list.</summary>
    public int ListChunk { get; init; } = 500;
}
