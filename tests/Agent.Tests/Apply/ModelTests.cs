using Keepalive.Agent.Apply;
using Keepalive.Agent.Policies;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Random histories of real sockets, compared with a model of the documentation.</summary>
public abstract class ModelTests : IDisposable
{
    private static readonly int s_histories = Fuzz.Cases(1000);
    private const int Steps = 10;
    private const string Elsewhere = "10.77.9.9";

    private static readonly KeepaliveValues s_fresh = new(false, 7200, 75, 9);

    private static readonly ModelPolicy[] s_policies =
    [
        new(null, null, null, "tighten", "nothing is selected", Selects: false),
        new(700, 10, 20, "tighten", "time: 700s, interval: 10s, probes: 20"),
        new(60, 5, 3, "tighten", "time: 60s, interval: 5s, probes: 3"),
        new(300, null, null, "tighten", "time: 300s"),
        new(null, null, null, "tighten", ""),
        new(null, 7, 4, "tighten", "interval: 7s, probes: 4"),
        new(40, 5, 3, "keep", "time: 40s, interval: 5s, probes: 3"),
        new(500, 10, null, "replace", "time: 500s, interval: 10s"),
    ];

    private readonly Lab _lab = CreateLab();
    private readonly Func<Lab, DatapathFactory> _create;

    private protected ModelTests(Func<Lab, DatapathFactory> create) => _create = create;

    private protected virtual int Number => s_histories;

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Histories_OfApplicationPolicyRestartAndRemoval_EndAsTheModelSays()
    {
        _lab.AddServerAddress(Elsewhere);
        var port = _lab.Server.Listen();
        using var rig = new Rig(_lab.Client.NetnsPath, _create(_lab));
        var snapshots = s_policies.Select(p => p.Selects ? Rig.PolicyFor(Lab.ServerAddress, p.Yaml, p.Existing) : PolicySnapshot.Empty).ToArray();
        int written = 0, restored = 0, unchanged = 0;
        var (from, to) = (Fuzz.Seed(0), Fuzz.Seed(0) + Number);
        for (var seed = from; seed < to; seed++)
        {
            var random = new Random(seed);
            var history = new List<string> { $"seed {seed}" };
            var sockets = new[] { Lab.ServerAddress, Lab.ServerAddressMapped, Elsewhere }
                .Select(address => new ModelSocket(_lab.Client.Connect(address, port), Selectable: address != Elsewhere)).ToArray();
            var policy = 0;
            var unnoticed = false;
            for (var step = 0; step < Steps; step++)
            {
                var scope = new PassScope { Full = random.Next(2) == 0 };
                switch (random.Next(6))
                {
                    case 0 or 1:
                        ApplicationChanges(sockets[random.Next(sockets.Length)], random, history);
                        if (random.Next(3) > 0)
                        {
                            unnoticed = true;
                            continue;
                        }
                        // Without a full pass, a change is noticed only when there is a reason to look. A change that is undone before the
                        // pass is not noticed.
                        scope = scope with { Full = true };
                        unnoticed = false;
                        break;
                    case 2 or 3:
                        policy = random.Next(s_policies.Length);
                        history.Add($"policy {s_policies[policy].Existing} {s_policies[policy].Yaml}");
                        break;
                    case 4:
                        rig.Restart();
                        scope = scope with { Full = true };
                        history.Add("agent killed and started");
                        break;
                    default:
                        history.Add("agent stopped with restore, then started");
                        rig.Policy = PolicySnapshot.Empty;
                        rig.Pass(new PassScope { Full = true, Last = true });
                        Array.ForEach(sockets, s => s.Pass(s_policies[0]));
                        Check(sockets, history);
                        rig.Restart();
                        break;
                }
                rig.Policy = snapshots[policy];
                rig.Pass(unnoticed ? scope with { Full = true } : scope);
                unnoticed = false;
                Array.ForEach(sockets, s => s.Pass(s_policies[policy]));
                history.Add($"pass → {string.Join("  ", sockets.Select(s => s.Values))}");
                Check(sockets, history);
                written += sockets.Count(s => s is { WrittenByAgent: true });
                unchanged += sockets.Count(s => s is { Selectable: true, IsApplications: true });
                restored += sockets.Count(s => s is { Selectable: true, Seen: false } && step > 0);
            }
            _lab.Client.CloseAll();
        }
        // The histories contained enough of each case.
        Assert.True(written > 2 * Number && restored > Number / 2 && unchanged > Number / 2, $"{written} written, {restored} restored, {unchanged} not changed");
    }

    public virtual void Dispose()
    {
        _lab.Dispose();
        GC.SuppressFinalize(this);
    }

    private static Lab CreateLab()
    {
        Live.Require();
        return new Lab();
    }

    private void ApplicationChanges(ModelSocket socket, Random random, List<string> history)
    {
        var (option, value) = random.Next(5) switch
        {
            0 => (HolderOption.Keepalive, 1),
            1 => (HolderOption.Keepalive, 0),
            2 => (HolderOption.Idle, Pick(random, 30, 60, 300, 700, 1000)),
            3 => (HolderOption.Interval, Pick(random, 5, 7, 10)),
            _ => (HolderOption.Count, Pick(random, 3, 4, 20)),
        };
        _lab.Client.Set(socket.Id, option, value);
        socket.Values = option switch
        {
            HolderOption.Keepalive => socket.Values with { On = value == 1 },
            HolderOption.Idle => socket.Values with { Idle = value },
            HolderOption.Interval => socket.Values with { Interval = value },
            _ => socket.Values with { Count = value },
        };
        history.Add($"application sets {option} of {socket.Id} to {value}");
    }

    private void Check(ModelSocket[] sockets, List<string> history)
    {
        foreach (var socket in sockets)
        {
            var real = _lab.Client.Get(socket.Id);
            Assert.True(socket.Values == real, $"socket {socket.Id}: the model says {socket.Values}, it has {real}\n{string.Join('\n', history)}");
        }
    }

    private static int Pick(Random random, params int[] values) => values[random.Next(values.Length)];

    private sealed record ModelPolicy(int? Time, int? Interval, int? Count, string Existing, string Yaml, bool Selects = true);

    /// <summary>The documented behaviour of one socket, independent of the implementation.</summary>
    private sealed record ModelSocket(int Id, bool Selectable)
    {
        private KeepaliveValues _first;
        private KeepaliveValues _left;

        public KeepaliveValues Values { get; set; } = s_fresh;

        /// <summary>Whether an earlier pass under a policy that selects the socket has looked at it.</summary>
        public bool Seen { get; private set; }

        public bool IsApplications { get; private set; }

        public bool WrittenByAgent { get; private set; }

        public void Pass(ModelPolicy policy)
        {
            var selected = policy.Selects && Selectable;
            if (IsApplications || !Selectable)
            {
                return;
            }
            if (Seen && Values != _left)
            {
                // Without a rule, the agent keeps the record only of a socket that it has written to.
                IsApplications = selected || WrittenByAgent;
                Seen = WrittenByAgent = false;
                return;
            }
            _first = Seen ? _first : Values;
            var own = _first.On
                && (policy.Existing == "keep" || (policy.Existing == "tighten" && !(policy.Time < _first.Idle)));
            WrittenByAgent = selected && !own;
            Values = WrittenByAgent
                ? new KeepaliveValues(true, policy.Time ?? _first.Idle, policy.Interval ?? _first.Interval, policy.Count ?? _first.Count)
                : _first;
            Seen = selected;
            _left = Values;
        }
    }
}

/// <summary>The model, through duplicates of the applications' descriptors.</summary>
public sealed class PidfdModelTests() : ModelTests(_ => Datapaths.Pidfd);

/// <summary>The model, through iterators in the kernel.</summary>
[Collection(Datapaths.Kernels)]
public sealed class BpfModelTests() : ModelTests(_ => Datapaths.Bpf)
{
    private protected override int Number => Fuzz.Cases(500);
}

/// <summary>The model, with connections that are set on establishment.</summary>
[Collection(Datapaths.Kernels)]
public sealed class AttachedModelTests : ModelTests
{
    private readonly TestCgroup _cgroup;

    public AttachedModelTests()
        : this(CreateCgroup())
    {
    }

    private AttachedModelTests(TestCgroup cgroup)
        : base(lab =>
        {
            var create = Datapaths.AttachedBpf(cgroup.Path);
            cgroup.Add(lab.Client.Pid);
            return create;
        }) => _cgroup = cgroup;

    private static TestCgroup CreateCgroup()
    {
        Datapaths.RequireBpf();
        return new TestCgroup();
    }

    /// <summary>Each change of policy waits until the kernel's programs no longer use the previous one.</summary>
    private protected override int Number => Fuzz.Cases(400);

    public override void Dispose()
    {
        base.Dispose();
        _cgroup.Dispose();
        GC.SuppressFinalize(this);
    }
}
