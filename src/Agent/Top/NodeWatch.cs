using Keepalive.Agent.Reports;
using Keepalive.Agent.Serving;
using Keepalive.Agent.Support;
using Keepalive.Linux.Files;

namespace Keepalive.Agent.Top;

/// <summary>The known facts about the node at one moment.</summary>
/// <param name="Overview">The connections, added up.</param>
/// <param name="Connections">The connections one by one; null if nothing was asked for.</param>
/// <param name="Focus">Which connections were asked for.</param>
/// <param name="Note">Why the data does not come from an agent; null if it does.</param>
/// <param name="At">When it was read, as a timestamp of the clock.</param>
internal sealed record NodeSnapshot(NodeOverview Overview, NodeConnections? Connections, Focus? Focus, string? Note, long At)
{
    /// <summary>Whether the running agent has answered.</summary>
    public bool IsOfAgent => Overview.Agent is not null;
}

/// <summary>Reads the node: the running agent's data, or a survey where no agent answers. Asks the agent again, so that it is used as soon as
/// it runs.</summary>
internal sealed class NodeWatch(TopOptions options, TimeProvider time) : IDisposable
{
    /// <summary>How long an agent that does not answer is not asked again: a request may take two seconds.</summary>
    private static readonly TimeSpan s_askAgain = TimeSpan.FromSeconds(5);

    /// <summary>The longest time between two surveys.</summary>
    private static readonly TimeSpan s_longestPause = TimeSpan.FromSeconds(30);

    /// <summary>The greatest part of one processor's time that surveys use.</summary>
    public const double MostOfProcessor = 0.03;

    private NodeSurveyor? _surveyor;
    private NodeSnapshot? _last;
    private string? _note;
    private long? _askedAt;
    private long? _agentGoneAt;
    private bool _hadAgent;
    private TimeSpan _pause;

    /// <summary>The time to the next read. A survey of very many sockets is made less often.</summary>
    public TimeSpan Pause => _pause > options.Every ? _pause : options.Every;

    /// <summary>Why neither an agent nor a survey is available: what is missing, a line each. Empty if one is.</summary>
    public IReadOnlyList<string> Missing(CancellationToken stop) => Ask(stop) is null ? Privileges.Missing() : [];

    /// <summary>Reads the node.</summary>
    /// <param name="focus">The connections to list one by one; null for none.</param>
    /// <param name="stop">Ends the read.</param>
    public NodeSnapshot Read(Focus? focus, CancellationToken stop)
    {
        _pause = TimeSpan.Zero;
        if (Ask(stop) is { } overview)
        {
            (_hadAgent, _agentGoneAt, _note) = (true, null, null);
            _surveyor?.Dispose();
            _surveyor = null;
            var listed = focus is { } wanted ? AgentClient.Connections(options.StateDirectory, wanted.Workload, wanted.Destination, stop).Value : null;
            return _last = new NodeSnapshot(overview, listed, focus, null, time.GetTimestamp());
        }
        if (_hadAgent)
        {
            _agentGoneAt ??= time.GetTimestamp();
        }
        // The first survey reads the values of every socket, which later ones do not.
        var isFirst = _surveyor is null;
        _surveyor ??= new NodeSurveyor(options);
        var before = Environment.CpuUsage.TotalTime;
        var survey = _surveyor.Take(stop);
        _pause = isFirst ? TimeSpan.Zero : (Environment.CpuUsage.TotalTime - before) / MostOfProcessor;
        _pause = _pause > s_longestPause ? s_longestPause : _pause;
        return _last = new NodeSnapshot(survey, focus is { } chosen ? _surveyor.List(chosen) : null, focus, Note(), time.GetTimestamp());
    }

    /// <summary>Lists other connections without reading the node again, if that is possible.</summary>
    public NodeSnapshot List(Focus? focus, CancellationToken stop)
    {
        if (_last is not { } last || (focus is not null && last.IsOfAgent))
        {
            return Read(focus, stop);
        }
        return _last = last with { Focus = focus, Connections = focus is { } wanted ? _surveyor?.List(wanted) : null };
    }

    public void Dispose() => _surveyor?.Dispose();

    private NodeOverview? Ask(CancellationToken stop)
    {
        if (_askedAt is { } asked && time.GetElapsedTime(asked) < s_askAgain)
        {
            return null;
        }
        // Only root can have put a socket into a directory that is root's own.
        if (OwnDirectory.Problem(options.StateDirectory) is { } problem)
        {
            _note = problem;
            return null;
        }
        var reply = AgentClient.Overview(options.StateDirectory, stop);
        _askedAt = reply.Value is null && reply.Problem is not null ? time.GetTimestamp() : null;
        _note = reply.Problem ?? _note;
        return reply.Value;
    }

    private string Note()
    {
        var why = _agentGoneAt is { } gone ? $"the agent stopped answering {Spans.Seconds((long)time.GetElapsedTime(gone).TotalMilliseconds)} ago"
            : _note ?? "no agent is running";
        // Its end must be readable on 80 columns.
        return $"{why}: own survey" + (Pause > options.Every ? $", every {Pause.TotalSeconds:0.0}s to save CPU" : "");
    }
}
