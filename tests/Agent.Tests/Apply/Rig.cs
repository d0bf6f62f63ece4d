using Keepalive.Agent.Apply;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Testbed;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Makes a datapath for some namespaces, with its predecessor's records and a state file.</summary>
internal delegate IDatapath DatapathFactory(
    IReadOnlyList<string> only, InheritedSockets known, StateFile? state);

/// <summary>An agent's datapath in this process, limited to one namespace, that can be "killed" and restarted.</summary>
internal sealed class Rig : IDisposable, ISocketSink
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-rig");
    private readonly string _netns;
    private readonly DatapathFactory _create;
    private StateFile? _state;
    private IDatapath? _datapath;

    /// <param name="netns">The only namespace it looks at.</param>
    /// <param name="create">The datapath under test.</param>
    public Rig(string netns, DatapathFactory create)
    {
        _netns = netns;
        _create = create;
        Restart();
    }

    /// <summary>The records of the last pass, by cookie. Only the last record of a socket is kept.</summary>
    public Dictionary<ulong, SocketRecord> Records { get; } = [];

    /// <summary>All records of the last pass, in order.</summary>
    public List<SocketRecord> All { get; } = [];

    /// <summary>The sums of all passes since the start.</summary>
    public ApplyCounts Counts => _datapath!.Counts;

    public PolicySnapshot Policy { get; set; } = PolicySnapshot.Empty;

    public PassSummary Pass(PassScope? scope = null)
    {
        Records.Clear();
        All.Clear();
        var (applied, restored) = (Counts.Applied, Counts.Restored);
        var summary = _datapath!.Pass(Policy, (scope ?? new PassScope()) with { Owners = true }, this);
        // The counts agree with the records.
        Xunit.Assert.Equal(All.Count(record => record.Changed && IsRestored(record)), Counts.Restored - restored);
        Xunit.Assert.Equal(All.Count(record => record is { Changed: true, Rule: not null } && !IsRestored(record)), Counts.Applied - applied);
        return summary;

        static bool IsRestored(SocketRecord record) => record.Outcome is SocketOutcome.Restored or SocketOutcome.Kept;
    }

    /// <summary>A pass with another receiver.</summary>
    public PassSummary PassTo(ISocketSink sink, PassScope? scope = null) => _datapath!.Pass(Policy, scope ?? new PassScope(), sink);

    /// <summary>All records of one more full pass.</summary>
    public List<SocketRecord> AllOfNextPass()
    {
        Pass(new PassScope { Full = true });
        return All;
    }

    /// <summary>As after a kill and a restart: nothing is finished or written, and the state file is read as it is.</summary>
    public void Restart()
    {
        var before = _state;
        _datapath?.Dispose();
        var file = Path.Combine(_directory.FullName, "state");
        var known = StateFile.Load(file, "boot", Xunit.Assert.Fail);
        _state = StateFile.Create(file, "boot", known);
        before?.Dispose();
        _datapath = _create([_netns], known, _state);
    }

    /// <summary>A compiled policy; the parameters are those of <see cref="PolicyText.For"/>.</summary>
    public static PolicySnapshot PolicyFor(string addresses, string keepalive, string? existing = null, Side side = Side.Client, string? userTimeout = null)
    {
        return Compile(PolicyText.For(addresses, keepalive, existing, userTimeout), side);
    }

    /// <summary>A compiled policy from its text.</summary>
    public static PolicySnapshot Compile(string text, Side side = Side.Client)
    {
        var read = PolicyReader.ReadText(text, "policy.yaml");
        var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions { Side = side });
        var errors = read.Diagnostics.Concat(compiled.Diagnostics).Where(d => d.Severity == Severity.Error).ToList();
        return errors.Count == 0 ? new PolicySnapshot(compiled.Policy, ExistingMode.Tighten) : throw new ArgumentException(string.Join('\n', errors));
    }

    public void Dispose()
    {
        _datapath?.Dispose();
        _state?.Dispose();
        _directory.Delete(recursive: true);
    }

    void ISocketSink.BeginNamespace(ulong inode)
    {
    }

    void ISocketSink.Socket(in SocketRecord record)
    {
        Records[record.Cookie] = record;
        All.Add(record);
    }

    void ISocketSink.EndNamespace(ulong inode)
    {
    }

    void ISocketSink.NamespaceGone(ulong inode)
    {
    }
}
