using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Support;
using Keepalive.Linux;
using Keepalive.Linux.Sockets;

namespace Keepalive.Agent.Top;

/// <summary>Reads the node's sockets again and again without an agent, and adds them up. Changes nothing.</summary>
/// <remarks>The first pass reads the values of every socket. Later ones list the sockets, which shows timers, unanswered probes and
/// new connections, and read values in rotation.</remarks>
internal sealed class NodeSurveyor : IDisposable
{
    private readonly TopOptions _options;
    private readonly PidfdDatapath _datapath;
    private readonly SurveyedSockets _sockets;
    private readonly Dictionary<int, string> _commands = [];
    private bool _hasPassed;

    public NodeSurveyor(TopOptions options)
    {
        _options = options;
        _sockets = new SurveyedSockets(options.Yardstick, Command);
        _datapath = new PidfdDatapath(new TrackingOptions
        {
            Only = options.Namespaces,
            MaxNamespaces = DescriptorShares.Measure().Namespaces,
            Inherited = [],
            State = null,
        });
    }

    /// <summary>Reads the sockets and adds them up.</summary>
    public NodeOverview Take(CancellationToken stop)
    {
        List<string> problems = [];
        try
        {
            var summary = _datapath.Pass(
                PolicySnapshot.Empty,
                new PassScope
                {
                    Full = !_hasPassed,
                    // The first one looks at everything, however long it takes.
                    Only = !_hasPassed,
                    ReadAll = true,
                    Timers = true,
                    DryRun = true,
                    States = TcpStates.Connections | TcpStates.Listen,
                    Stop = stop,
                },
                _sockets);
            problems.AddRange(summary.Gaps);
            _hasPassed = true;
        }
        catch (LinuxException e)
        {
            problems.Add(e.Message);
        }
        _commands.Clear();
        var (kept, leftOut) = NodeOverview.Limit(_sockets.AddUp(out var local));
        return new NodeOverview(
            NodeOverview.Version,
            Agent: null,
            Environment.MachineName,
            Datapath: null,
            Captured: false,
            Policies: null,
            AgeMs: 0,
            (long)_options.Every.TotalMilliseconds,
            _options.Yardstick.IdleTimeout,
            local,
            problems,
            kept,
            Out: [],
            Events: [],
            leftOut);
    }

    /// <summary>Returns connections as the last survey found them.</summary>
    public NodeConnections List(Focus focus) => _sockets.List(focus);

    public void Dispose() => _datapath.Dispose();

    private string Command(int pid)
    {
        if (!_commands.TryGetValue(pid, out var command))
        {
            _commands.Add(pid, command = ProcessName.Of(pid));
        }
        return command;
    }
}
