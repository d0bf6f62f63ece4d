using System.Collections.Immutable;
using Keepalive.Config;

namespace Keepalive.Simulator.Advice;

/// <summary>How an application, a library or a driver is made to probe its own connections.</summary>
internal sealed record ApplicationSetting
{
    /// <summary>The words for which it is printed.</summary>
    public required ImmutableArray<string> Names { get; init; }

    /// <summary>The part of the application, and where the setting is written.</summary>
    public required string Where { get; init; }

    /// <summary>The values of its sockets, from a <c>time</c> and the advised values. All that it cannot set is what it has by itself.</summary>
    public Func<int, KeepaliveSettings, KeepaliveSettings> Values { get; init; } = static (time, advised) => advised with { Time = time };

    /// <summary>The setting for such values, line by line.</summary>
    public required Func<KeepaliveSettings, ImmutableArray<string>> Lines { get; init; }

    /// <summary>The values of its sockets where nobody sets any; null where they do not probe then.</summary>
    public KeepaliveSettings? Default { get; init; }

    /// <summary>How its pool is made to close connections that were idle for so many seconds; null where it has no such setting.</summary>
    public Func<int, ImmutableArray<string>>? CloseIdle { get; init; }

    /// <summary>How it is switched off; null where it is off unless somebody switches it on.</summary>
    public string? Off { get; init; }

    /// <summary>How it sends payload by itself each so many seconds, which counts for every balancer; null where it cannot.</summary>
    public Func<int, ImmutableArray<string>>? Heartbeat { get; init; }

    /// <summary>Whether the setting is the heartbeat, and TCP keepalive has no part in it.</summary>
    public bool IsHeartbeat { get; init; }

    /// <summary>Facts a user has to know, in one line; may be empty.</summary>
    public string Remark { get; init; } = "";

    /// <summary>The documentation, https.</summary>
    public required string Source { get; init; }
}
