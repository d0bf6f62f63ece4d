using Keepalive.Agent.Log;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Kubernetes;

/// <summary>What is known of the objects of a kind.</summary>
internal enum Knowledge
{
    /// <summary>Nothing yet.</summary>
    None,

    /// <summary>All of them.</summary>
    Known,

    /// <summary>The server has no such kind.</summary>
    Absent,
}

/// <summary>What a watch knows of its kind, how old that is, and what is in the way. Written by the watch, read by any thread.</summary>
internal sealed partial class KindStanding(WatchedKind kind, TimeProvider time, ILogger logger)
{
    private long _confirmedAt = time.GetTimestamp();
    private volatile Knowledge _knowledge;
    private volatile KindSelection? _listed;
    private volatile string? _trouble;
    private volatile bool _isForbidden;

    /// <summary>Called when <see cref="Knowledge"/>, <see cref="Listed"/> or <see cref="Trouble"/> changed.</summary>
    public Action? Changed { get; set; }

    public Knowledge Knowledge => _knowledge;

    /// <summary>The selection whose objects are known; null where none are.</summary>
    public KindSelection? Listed => _listed;

    /// <summary>Why the kind cannot be read now; null where all is well.</summary>
    public string? Trouble => _trouble;

    /// <summary>Whether the server has last said that this agent may not see the kind: waiting will not change that.</summary>
    public bool IsForbidden
    {
        get => _isForbidden;
        set => _isForbidden = value;
    }

    /// <summary>Time since <see cref="Confirm"/>.</summary>
    public TimeSpan Age => time.GetElapsedTime(Volatile.Read(ref _confirmedAt));

    /// <summary>The server said, by an answer, an event or a bookmark, that what is known is all there is.</summary>
    public void Confirm() => Volatile.Write(ref _confirmedAt, time.GetTimestamp());

    /// <summary>All objects are known.</summary>
    public void Know(KindSelection listed)
    {
        _listed = listed;
        Set(Knowledge.Known);
    }

    /// <summary>The server has no such kind.</summary>
    public void Miss() => Forget(Knowledge.Absent);

    /// <summary>Nothing is known any more.</summary>
    public void Forget() => Forget(Knowledge.None);

    /// <summary>Logs what is in the way, once; null is that all is well again.</summary>
    public void Say(string? trouble)
    {
        if (trouble == _trouble)
        {
            return;
        }
        _trouble = trouble;
        if (trouble is not null)
        {
            LogTrouble(kind.ToString(), trouble, _knowledge == Knowledge.None ? "no state is known yet" : "the last known state stays in force");
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
        Changed?.Invoke();
    }

    [LoggerMessage(EventIds.KubernetesTrouble, LogLevel.Warning, "Kubernetes: {Kind} unavailable: {Reason}; {Consequence}")]
    private partial void LogTrouble(string kind, string reason, string consequence);

    [LoggerMessage(EventIds.KubernetesRecovered, LogLevel.Information, "Kubernetes: {Kind} are available again")]
    private partial void LogRecovered(string kind);
}
