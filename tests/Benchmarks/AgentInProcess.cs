using System.Text;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Metrics;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Sockets;
using Microsoft.Extensions.Logging.Abstractions;

namespace Keepalive.Benchmarks;

/// <summary>The agent's datapath in this process, with the receivers of records and the state file that the service uses.</summary>
internal sealed class AgentInProcess : IDisposable
{
    private readonly MetricRegistry _metrics;
    private readonly StateFile _state;
    private readonly IDatapath _datapath;
    private readonly SocketTally _tally;
    private readonly ChangeLog _changes = new(NullLogger<ChangeLog>.Instance);
    private readonly FanOut _sink;

    /// <param name="time">The clock of audits.</param>
    /// <param name="kernel">The programs of the bpf datapath; null is pidfd.</param>
    /// <param name="only">Paths of the namespaces to look at; empty for all.</param>
    public AgentInProcess(TimeProvider time, KernelPrograms? kernel, params string[] only)
    {
        var name = kernel is null ? "pidfd" : "bpf";
        _metrics = new MetricRegistry("benchmark", name, "");
        _state = StateFile.Create(Path.Combine(Workspace.Directory, $"state-{name}"), StateFile.CurrentBoot(), new InheritedSockets());
        var options = new TrackingOptions { Time = time, Only = only, MaxNamespaces = 1024, Inherited = [], State = _state };
        _datapath = kernel is null ? new PidfdDatapath(options) : new BpfDatapath(options, kernel, cgroup: null);
        _tally = new SocketTally();
        _metrics.Add(new SocketCollector(_metrics, _tally, name));
        _sink = new FanOut(_changes, _tally);
    }

    /// <summary>What the last pass did.</summary>
    public PassSummary Last { get; private set; }

    /// <summary>Bytes the last pass allocated.</summary>
    public long Allocated { get; private set; }

    /// <summary>One pass, followed by what the service does after each pass: count and publish.</summary>
    public Cost Pass(PolicySnapshot policy, PassScope scope) => Cost.Of(() =>
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        Last = _datapath.Pass(policy, scope, _sink);
        _tally.Passed(Last, _datapath.Counts);
        _changes.EndPass();
        Allocated = GC.GetAllocatedBytesForCurrentThread() - before;
    });

    /// <summary>The number of sockets in a state (managed, failed, …).</summary>
    public int Count(string state) =>
        (int)_tally.Now.States.Where(s => s.Key.State == state).Sum(s => s.Value);

    /// <summary>All counts, for the message of a failed check.</summary>
    public override string ToString()
    {
        using var text = new MemoryStream();
        _metrics.Write(text);
        return string.Join("; ", Encoding.UTF8.GetString(text.ToArray()).Split('\n').Where(line => line.StartsWith("keepalive_", StringComparison.Ordinal) && !line.Contains("bucket", StringComparison.Ordinal)));
    }

    public void Dispose()
    {
        _datapath.Dispose();
        _state.Dispose();
    }
}
