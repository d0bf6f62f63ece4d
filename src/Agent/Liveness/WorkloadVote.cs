namespace Keepalive.Agent.Liveness;

/// <summary>A workload's vote about a far end, by its connections.</summary>
internal enum Vote : byte
{
    /// <summary>Nothing speaks against it.</summary>
    In,

    /// <summary>A connection died of unanswered probes, and nothing was heard since the first of them.</summary>
    Out,

    /// <summary>The workload was asked because a connection of another workload died, and it heard no answer. Or its vote against the far
    /// end is older than an answer to another workload.</summary>
    Abstains,
}

/// <summary>The vote of one workload about one far end. Guarded by the monitor's lock; all times are nanoseconds of the monitor's
/// clock.</summary>
internal sealed class WorkloadVote(FarEnd farEnd, string workload)
{
    /// <summary>The maximum number of connections to examine to find one that can be asked.</summary>
    private const int MaxCandidates = 64;

    /// <summary>The number of passes that try to ask a chosen connection. If all fail, the wait for an answer begins anyway.</summary>
    private const int MaxTries = 2;

    private long _interval;
    private long _suspendedAt;
    private long _knownSince = long.MaxValue;
    private bool _isOffered;
    private int _tries;
    private int _next;

    public FarEnd FarEnd { get; } = farEnd;

    public string Workload { get; } = workload;

    /// <summary>The workload's connections that count.</summary>
    public List<WatchedConnection> Connections { get; } = [];

    public Vote Says { get; private set; }

    /// <summary>When the vote last changed; 0 if it never did.</summary>
    public long SaidAt { get; private set; }

    /// <summary>When something was last heard on one of its connections.</summary>
    public long HeardAt { get; private set; } = long.MinValue;

    /// <summary>When the first unanswered probe was sent on the connection that died; 0 if none did, or something was heard
    /// since.</summary>
    public long SilentSince { get; private set; }

    /// <summary>When one of its connections was last asked to send a probe.</summary>
    public long AskedAt { get; private set; } = long.MinValue / 2;

    /// <summary>The time after which something must have been heard; 0 if nothing is asked.</summary>
    private long Asks { get; set; }

    /// <summary>When the wait for an answer ends; 0 before it begins.</summary>
    private long AnswerBy { get; set; }

    public bool IsQuestioned => Asks != 0;

    /// <summary>The connection that is asked in the next pass; null if none is.</summary>
    public WatchedConnection? Chosen { get; private set; }

    public void Add(WatchedConnection connection)
    {
        connection.VoteIndex = Connections.Count;
        Connections.Add(connection);
    }

    public void Remove(WatchedConnection connection)
    {
        var last = Connections[^1];
        Connections[connection.VoteIndex] = last;
        last.VoteIndex = connection.VoteIndex;
        Connections.RemoveAt(Connections.Count - 1);
        if (ReferenceEquals(Chosen, connection))
        {
            Chosen = null;
        }
    }

    /// <summary>Records that a connection died of unanswered probes.</summary>
    public void Die(long silentSince) => (SilentSince, _suspendedAt) = (Math.Max(SilentSince, silentSince), 0);

    public void Say(Vote vote, long now)
    {
        if (vote != Says)
        {
            (Says, SaidAt) = (vote, now);
        }
        (Asks, AnswerBy, Chosen) = (0, 0, null);
    }

    /// <summary>Begins to ask the workload whether anything was heard since a time.</summary>
    public void Question(long since, long interval)
    {
        if (Asks == 0)
        {
            (AnswerBy, _interval, _tries) = (0, interval, 0);
        }
        Asks = Math.Max(Asks, since);
    }

    /// <summary>Whether one of its connections can be asked, or sends a probe by itself soon.</summary>
    public bool CanAnswer(long interval, long now) => Candidate(now) is not null || ProbesWithin(interval + WatchedConnection.Margin, now);

    /// <summary>Chooses the connection that must send a probe in the next pass. There is at most one such probe in a probe
    /// interval.</summary>
    public WatchedConnection? Choose(long now)
    {
        _isOffered = Asks != 0 && AnswerBy == 0 && now - AskedAt >= _interval;
        Chosen = _isOffered ? Candidate(now) : null;
        return Chosen;
    }

    /// <summary>Records that one of its connections was made to send a probe.</summary>
    public void Asked(long now)
    {
        AskedAt = now;
        if (Asks != 0 && AnswerBy == 0)
        {
            AnswerBy = now + _interval;
        }
    }

    /// <summary>Records that the pass that should have asked is over. If nothing could be asked, the wait for an answer begins
    /// anyway.</summary>
    public void AwaitAnswer(long now)
    {
        if (_isOffered && Asks != 0 && AnswerBy == 0 && (Chosen is null || ++_tries == MaxTries))
        {
            AnswerBy = now + _interval + (ProbesWithin(_interval + WatchedConnection.Margin, now) ? WatchedConnection.Margin : 0);
        }
        (_isOffered, Chosen) = (false, null);
    }

    /// <summary>Records that something was heard.</summary>
    /// <param name="at">When it was heard.</param>
    /// <param name="outSince">When the far end left the pool.</param>
    /// <param name="isNews">Whether the workload did not vote for it before.</param>
    /// <returns>Whether its vote, or a question, has changed.</returns>
    public bool Hear(long at, long outSince, out bool isNews)
    {
        isNews = false;
        if (at <= HeardAt)
        {
            return false;
        }
        HeardAt = at;
        var isFirst = _knownSince == long.MaxValue;
        _knownSince = Math.Min(_knownSince, at);
        if (SilentSince != 0 && at > SilentSince)
        {
            SilentSince = 0;
        }
        var isAnswer = Asks != 0 && at > Asks;
        if (Says == Vote.In)
        {
            if (isAnswer)
            {
                Say(Vote.In, at);
            }
            isNews = isFirst && at > outSince;
            return isAnswer || isNews;
        }
        if (SilentSince != 0)
        {
            return false;
        }
        isNews = true;
        _suspendedAt = 0;
        Say(Vote.In, at);
        return true;
    }

    /// <summary>Drops the answers that only captured packets showed.</summary>
    public void Distrust() => HeardAt = Connections.Count == 0 ? long.MinValue : Connections.Max(connection => connection.HeardAt);

    /// <summary>Suspends an older vote against the far end, because another workload has heard from it at a time.</summary>
    public void Suspend(long at)
    {
        if (Says == Vote.Out && SilentSince < at)
        {
            Say(Vote.Abstains, at);
            _suspendedAt = at;
        }
    }

    /// <summary>Votes against the far end again after the vote was suspended, because a probe sent since then was lost.</summary>
    public bool Confirm(long probedAt, long now)
    {
        if (_suspendedAt == 0 || probedAt <= _suspendedAt)
        {
            return false;
        }
        _suspendedAt = 0;
        Say(Vote.Out, now);
        return true;
    }

    /// <summary>Ends the wait for an answer that did not come in time.</summary>
    public bool GiveUp(long now)
    {
        if (Asks == 0 || AnswerBy == 0 || now < AnswerBy)
        {
            return false;
        }
        Say(SilentSince != 0 ? Vote.Out : Vote.Abstains, now);
        return true;
    }

    private bool ProbesWithin(long time, long now)
    {
        foreach (var connection in Connections)
        {
            if (connection.ProbesWithin(time, now))
            {
                return true;
            }
        }
        return false;
    }

    private WatchedConnection? Candidate(long now)
    {
        var count = Connections.Count;
        for (var i = 0; i < Math.Min(count, MaxCandidates); i++)
        {
            _next = (_next + 1) % count;
            if (Connections[_next].CanBeAsked(now))
            {
                return Connections[_next];
            }
        }
        return null;
    }
}
