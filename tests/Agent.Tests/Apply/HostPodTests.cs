using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Config.Resources;
using Keepalive.Linux.Processes;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Pods with the node's network: the workload of each socket decides whether the policy applies.</summary>
/// <remarks>In these tests, the client's namespace counts as the node's own.</remarks>
public abstract class HostPodTests : IDisposable
{
    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);

    private readonly TestCgroup _cgroup;
    private readonly Lab _lab;
    private readonly int _port;

    private protected HostPodTests()
    {
        Live.Require();
        _cgroup = new TestCgroup();
        _lab = new Lab();
        _port = _lab.Server.Listen();
    }

    private protected Dictionary<string, Exemption> Exemptions { get; } = [];

    private protected Dictionary<string, ClientWorkload> Clients { get; } = [];

    private protected bool MayExempt { get; set; } = true;

    private protected TestCgroup Cgroup => _cgroup;

    private protected string Netns => _lab.Client.NetnsPath;

    private protected TrackingOptions Options(IReadOnlyList<string> only, InheritedSockets known, StateFile? state) => Datapaths.Options(only, known, state) with
    {
        NodesNamespace = (ulong)_lab.Client.NetnsInode,
        HostExempts = new HostExemption(
            workload => new ClientStanding(Exemptions.GetValueOrDefault(workload, Others), Clients.GetValueOrDefault(workload)), () => MayExempt),
    };

    private protected PolicySnapshot Policy => Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);

    [Fact]
    public void Pass_PodThatIsLeftAlone_OthersOfTheNodeAreSet()
    {
        using var left = InPod("11");
        using var other = InPod("22");
        using var unit = _lab.Client.StartBeside();
        TestCgroup.AddToRoot(unit.Pid);
        Exemptions["pod:11"] = Exemption.LeftAlone;
        var (a, b, c) = (left.Connect(Lab.ServerAddress, _port), other.Connect(Lab.ServerAddress, _port), unit.Connect(Lab.ServerAddress, _port));
        using var rig = Start();
        Become(rig, (s_untouched, s_guide, s_guide), () => (left.Get(a), other.Get(b), unit.Get(c)));
        Assert.Equal(
            ("pod:11", "pod:22", "uid:0"),
            (rig.Records[left.Cookie(a)].Workload, rig.Records[other.Cookie(b)].Workload, rig.Records[unit.Cookie(c)].Workload));
        Assert.Equal(SocketOutcome.Unmanaged, rig.Records[left.Cookie(a)].Outcome);
    }

    [Fact]
    public void Pass_PodIsLeftAloneFromNowOn_ItsSocketsAreRestoredAndSetAgainWhenItIsNot()
    {
        using var pod = InPod("11");
        using var other = InPod("22");
        var (a, b) = (pod.Connect(Lab.ServerAddress, _port), other.Connect(Lab.ServerAddress, _port));
        using var rig = Start();
        Become(rig, (s_guide, s_guide), () => (pod.Get(a), other.Get(b)));
        Exemptions["pod:11"] = Exemption.LeftAlone;
        Become(rig, (s_untouched, s_guide), () => (pod.Get(a), other.Get(b)));
        Assert.Equal(1, rig.Counts.Restored);
        Exemptions["pod:11"] = Exemption.None;
        Become(rig, (s_guide, s_guide), () => (pod.Get(a), other.Get(b)));
    }

    /// <summary>One policy for the pods of shop, one of 60 s for its pods with app=web, values that a pod chooses, and nothing for others.</summary>
    [Fact]
    public void Pass_PoliciesForCertainPods_EachPodHasItsOwn()
    {
        MayExempt = false;
        using var web = InPod("11");
        using var jobs = InPod("22");
        using var own = InPod("33");
        using var unit = _lab.Client.StartBeside();
        TestCgroup.AddToRoot(unit.Pid);
        Clients["pod:11"] = new ClientWorkload("shop", [new("app", "web")]);
        Clients["pod:22"] = new ClientWorkload("shop", [new("app", "jobs")]);
        Clients["pod:33"] = new ClientWorkload("other", [], new OwnKeepalive(new KeepaliveSettings(45, 9, 3), "Pod other/own"));
        var ofShop = PolicyText.For(Lab.ServerAddress, PolicyText.GuideValues, from: "namespace=shop");
        var ofWeb = PolicyText.For(Lab.ServerAddress, "time: 60s, interval: 5s, probes: 3", from: "app in (web,api)")
            .Split("---")[0].Replace("name: tcp-keepalive", "name: web", StringComparison.Ordinal);
        var policy = Rig.Compile($"{ofWeb}---\n{ofShop}");
        using var rig = Start();
        rig.Policy = new PolicySnapshot(policy.Policy.WithOwn(), ExistingMode.Tighten);
        var (a, b, c, d) = (web.Connect(Lab.ServerAddress, _port), jobs.Connect(Lab.ServerAddress, _port), own.Connect(Lab.ServerAddress, _port), unit.Connect(Lab.ServerAddress, _port));
        var (short60, own45) = (new KeepaliveValues(true, 60, 5, 3), new KeepaliveValues(true, 45, 9, 3));
        Become(rig, (short60, s_guide, own45, s_untouched), () => (web.Get(a), jobs.Get(b), own.Get(c), unit.Get(d)));
        Assert.Equal(("app in (api,web)", "namespace=shop", "Pod other/own"),
            (rig.Records[web.Cookie(a)].Rule?.From, rig.Records[jobs.Cookie(b)].Rule?.From, rig.Records[own.Cookie(c)].Rule?.From));

        // The label goes, the values are chosen no more, and the unit's process is none of a pod still.
        Clients["pod:11"] = new ClientWorkload("shop", []);
        Clients["pod:33"] = new ClientWorkload("other", []);
        Become(rig, (s_guide, s_guide, s_untouched, s_untouched), () => (web.Get(a), jobs.Get(b), own.Get(c), unit.Get(d)));
    }

    [Fact]
    public void Pass_PodIsNotKnown_NothingIsSetAndNothingRestoredUntilItIs()
    {
        using var pod = InPod("11");
        var before = pod.Connect(Lab.ServerAddress, _port);
        using var rig = Start();
        Become(rig, s_guide, () => pod.Get(before));
        Exemptions["pod:11"] = Exemption.NotKnown;
        var after = pod.Connect(Lab.ServerAddress, _port);
        rig.Pass();
        rig.Restart();
        rig.Pass(new PassScope { Full = true });
        Assert.Equal((s_guide, s_untouched), (pod.Get(before), pod.Get(after)));
        Exemptions["pod:11"] = Exemption.LeftAlone;
        Become(rig, (s_untouched, s_untouched), () => (pod.Get(before), pod.Get(after)));
        Exemptions["pod:11"] = Exemption.None;
        Become(rig, (s_guide, s_guide), () => (pod.Get(before), pod.Get(after)));
    }

    [Fact]
    public void Pass_EverythingButSomePodsIsLeftAlone_OnlyTheirsAreSet()
    {
        using var named = InPod("11");
        using var unit = _lab.Client.StartBeside();
        TestCgroup.AddToRoot(unit.Pid);
        Exemptions["pod:11"] = Exemption.None;
        Others = Exemption.LeftAlone;
        var (a, b) = (named.Connect(Lab.ServerAddress, _port), unit.Connect(Lab.ServerAddress, _port));
        using var rig = Start();
        Become(rig, (s_guide, s_untouched), () => (named.Get(a), unit.Get(b)));
    }

    /// <summary>The socket was made before its process was moved into the pod, so its cgroup names no owner.</summary>
    [Fact]
    public void Pass_NodeWithVersion1_TheProcessTellsThePod()
    {
        Assert.SkipUnless(CgroupDirectory.HasVersion1(), "there is no cgroup hierarchy of version 1 here");
        using var pod = _lab.Client.StartBeside();
        TestCgroup.AddToRoot(pod.Pid);
        var id = pod.Connect(Lab.ServerAddress, _port);
        Put(pod, "11");
        Exemptions["pod:11"] = Exemption.LeftAlone;
        using var rig = Start();
        for (var pass = 0; pass < 3; pass++)
        {
            rig.Pass();
            Assert.Equal(s_untouched, pod.Get(id));
        }
        Exemptions["pod:11"] = Exemption.None;
        Become(rig, s_guide, () => pod.Get(id));
        Assert.Equal("pod:11", rig.Records[pod.Cookie(id)].Workload);
    }

    public void Dispose()
    {
        _lab?.Dispose();
        foreach (var pod in _cgroup is null ? [] : Directory.GetDirectories(_cgroup.Path, "pod*", SearchOption.AllDirectories))
        {
            Eventually.True(() => TryRemove(pod), TimeSpan.FromSeconds(10));
        }
        if (_cgroup is not null)
        {
            TryRemove(Path.Combine(_cgroup.Path, "kubepods"));
            _cgroup.Dispose();
        }
        GC.SuppressFinalize(this);
    }

    private protected Exemption Others { get; set; } = Exemption.None;

    private protected abstract DatapathFactory Create();

    private protected Rig Start() => new(_lab.Client.NetnsPath, Create()) { Policy = Policy };

    private protected (Holder Pod, Func<int> Connect) Connecting(string uid)
    {
        var pod = InPod(uid);
        return (pod, () => pod.Connect(Lab.ServerAddress, _port));
    }

    /// <summary>On a busy machine a pass has not the time for all processes of a pod: the next one goes on.</summary>
    private static void Become<T>(Rig rig, T expected, Func<T> actual) => Eventually.True(
        () =>
        {
            rig.Pass();
            return EqualityComparer<T>.Default.Equals(expected, actual());
        },
        TimeSpan.FromSeconds(10));

    private Holder InPod(string uid)
    {
        var holder = _lab.Client.StartBeside();
        Put(holder, uid);
        return holder;
    }

    private void Put(Holder holder, string uid)
    {
        var path = Directory.CreateDirectory(Path.Combine(_cgroup.Path, "kubepods", $"pod{uid}")).FullName;
        File.WriteAllText(Path.Combine(path, "cgroup.procs"), $"{holder.Pid}");
    }

    private static bool TryRemove(string path)
    {
        try
        {
            Directory.Delete(path);
            return true;
        }
        catch (IOException e)
        {
            return e is DirectoryNotFoundException;
        }
    }
}

/// <summary>Uses the descriptors of the pods.</summary>
public sealed class PidfdHostPodTests : HostPodTests
{
    private protected override DatapathFactory Create() =>
        (only, known, state) => new PidfdDatapath(Options(only, known, state));
}

/// <summary>Uses iterators in the kernel, and programs at a cgroup.</summary>
[Collection(Datapaths.Kernels)]
public sealed class BpfHostPodTests : HostPodTests
{
    [Fact]
    public void Connect_WhileAPodMayBeLeftAlone_WaitsForThePass()
    {
        var kernel = Datapaths.Kernel;
        using var rig = new Rig(
            Netns, (only, known, state) => new BpfDatapath(Options(only, known, state), kernel, Cgroup.Path))
        {
            Policy = Policy,
        };
        rig.Pass();
        var (pod, connect) = Connecting("11");
        using (pod)
        {
            Exemptions["pod:11"] = Exemption.LeftAlone;
            var left = connect();
            Assert.False(pod.Get(left).On);
            rig.Pass();
            Assert.False(pod.Get(left).On);
            // If no workload is exempt any more, new connections are set at once.
            (Exemptions["pod:11"], MayExempt) = (Exemption.None, false);
            rig.Pass();
            Assert.True(pod.Get(left).On);
            Assert.True(pod.Get(connect()).On);
        }
    }

    private protected override DatapathFactory Create()
    {
        var kernel = Datapaths.Kernel;
        return (only, known, state) => new BpfDatapath(Options(only, known, state), kernel, cgroup: null);
    }
}
