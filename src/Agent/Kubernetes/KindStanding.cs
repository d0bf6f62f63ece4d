using Keepalive.Agent.Log;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Kubernetes;

/// <summary>How much is known of the objects of a kind.</summary>
internal enum Knowledge
{
    /// <summary>Nothing is known yet.</summary>
    None,

    /// <summary>All objects are known.</summary>
    Known,

    /// <summary>The server has no such kind.</summary>
    Absent,
}

/// <summary>The knowledge of a watch about its kind, its age, and the problem of reading it. Written by the watch, read by any
/// thread.</summary>
internal sealed partial class KindStanding(WatchedKind kind, TimeProvider time, ILogger logger)
{
    private long _confirmedAt = time.GetTimestamp();
    private volatile Knowledge _knowledge;
    private volatile KindSelection? _listed;
    private volatile string? _trouble;
    private volatile bool _isForbidden;
    private long _keptAt;

    /// <summary>Called when <see cref="Knowledge"/>, <see cref="Listed"/> or <see cref="Trouble"/> changed.</summary>
    public Action? Changed { get; set; }

    public Knowledge Knowledge => _knowledge;

    /// <summary>The selection whose objects are known; null if none are.</summary>
    public KindSelection? Listed => _listed;

    /// <summary>Why the kind cannot be read now; null if it can.</summary>
    public string? Trouble => _trouble;

    /// <summary>Whether the server's last answer was that this agent may not read the kind. Waiting does not change that.</summary>
    public bool IsForbidden
    {
        get => _isForbidden;
        set => _isForbidden = value;
    }

    /// <summary>When the server confirmed the objects that an earlier agent has kept, as long as they are all that is known; else
    /// null.</summary>
    public DateTimeOffset? KeptAt => Volatile.Read(ref _keptAt) is > 0 and var at && _knowledge == Knowledge.None ? DateTimeOffset.FromUnixTimeSeconds(at) : null;

    /// <summary>Time since the server confirmed the objects: since <see cref="Confirm"/>, or <see cref="KeptAt"/>.</summary>
    public TimeSpan Age => KeptAt is { } at
        ? time.GetUtcNow() - at is { Ticks: > 0 } age ? age : TimeSpan.Zero
        : time.GetElapsedTime(Volatile.Read(ref _confirmedAt));

    /// <summary>Records that the objects of an earlier agent are known.</summary>
    public void Keep(DateTimeOffset confirmedAt) => Volatile.Write(ref _keptAt, confirmedAt.ToUnixTimeSeconds());

    /// <summary>Records that all objects are known now, because of an answer, an event or a bookmark of the server.</summary>
    public void Confirm() => Volatile.Write(ref _confirmedAt, time.GetTimestamp());

    /// <summary>Records that all objects are known.</summary>
    public void Know(KindSelection listed)
    {
        _listed = listed;
        Set(Knowledge.Known);
    }

    /// <summary>Records that the server has no such kind.</summary>
    public void Miss() => Forget(Knowledge.Absent);

    /// <summary>Records that nothing is known any more.</summary>
    public void Forget() => Forget(Knowledge.None);

    /// <summary>Logs a problem once; null logs that it is over.</summary>
    public void Say(string? trouble)
    {
        if (trouble == _trouble)
        {
            return;
        }
        _trouble = trouble;
        if (trouble is not null)
        {
            LogTrouble(kind.ToString(), trouble, _knowledge == Knowledge.None && KeptAt is null ? "no state is known yet" : "the last known state stays in force");
        }
        else
        {
            LogRecovered(kind.ToString());
        }
        Changed?.Invoke();
    }

    private void Forget(Knowledge knowledge)
    {
        _listed = null;
        Set(knowledge);
    }

    private void Set(Knowledge knowledge)
    {
        _knowledge = knowledge;
        Volatile.Write(ref _keptAt, 0);
        Changed?.Invoke();
    }

    [LoggerMessage(EventIds.KubernetesTrouble, LogLevel.Warning, "Kubernetes: {Kind} unavailable: {Reason}; {Consequence}")]
    private partial void LogTrouble(string kind, string reason, string consequence);

    [LoggerMessage(EventIds.KubernetesRecovered, LogLevel.Information, "Kubernetes: {Kind} are available again")]
    private partial void LogRecovered(string kind);
}
