using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Running;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Policies of many thousand prefixes, and policies that do not fit into the kernel's memory.</summary>
[Collection(Datapaths.Kernels)]
public sealed class MemoryTests : IDisposable
{
    private const int Prefixes = 60_000;

    /// <summary>The simulated limit of rules in the kernel; the error itself is the kernel's.</summary>
    private const int Room = 1_000;

    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);
    private static readonly KeepaliveValues s_other = new(true, 60, 5, 3);

    private readonly TestCgroup _cgroup;
    private readonly Lab _lab;
    private readonly int _port;

    public MemoryTests()
    {
        Datapaths.RequireBpf();
        _cgroup = new TestCgroup();
        _lab = new Lab();
        _cgroup.Add(_lab.Client.Pid);
        _port = _lab.Server.Listen();
    }

    [Fact]
    public void Policy_ManyThousandPrefixes_IsInForceAtEstablishment()
    {
        using var rig = new Rig(_lab.Client.NetnsPath, Datapaths.AttachedBpf(_cgroup.Path)) { Policy = Large("time: 60s, interval: 5s, probes: 3") };
        Assert.True(rig.Policy.Policy.Rules.Length > Prefixes);
        Assert.Null(rig.Pass().Trouble);
        Assert.Equal(s_other, _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)));
    }

    [Fact]
    public void Start_PolicyDoesNotFit_BpfIsRefusedAndAutoUsesPidfd()
    {
        const string reason = "bpf_map_update_elem: ENOSPC (No space left on device): the policies do not fit into the memory that the kernel gives the agent for them";
        static KernelPrograms Load() => KernelPrograms.Load(maxRules: Room);
        var policy = Large("time: 60s");
        var refused = Assert.Throws<DatapathException>(() => ChosenDatapath.Create(Options(DatapathKind.Bpf), maxNamespaces: 64, policy, [], null, load: Load));
        Assert.Equal(reason, refused.Message);
        using var chosen = ChosenDatapath.Create(Options(DatapathKind.Auto), maxNamespaces: 64, policy, [], null, load: Load);
        Assert.Equal(("pidfd", reason), (chosen.Datapath.Name, chosen.WhyNotBpf));
        // The failed attempt left nothing at the cgroup.
        Assert.Empty(BpfCgroups.Attached(_cgroup.Path));
        Assert.Equal(s_untouched, _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)));
    }

    [Fact]
    public void Explain_NoMemoryForThePrograms_HasItsOwnReason() => Assert.Equal(
        "loading the BPF programs: ENOMEM: the memory limit is too low for the programs' maps",
        BpfRequirements.Explain(new BpfException("loading the BPF programs", Errno.ENOMEM, "libbpf: map 'arrivals': failed to create: Cannot allocate memory(-12)")));

    [Fact]
    public void Reload_PolicyDoesNotFit_PassesApplyItUntilOneFits()
    {
        using var kernel = KernelPrograms.Load(maxRules: Room);
        using var rig = new Rig(
            _lab.Client.NetnsPath, (only, known, state) => new BpfDatapath(Datapaths.Options(only, known, state), kernel, _cgroup.Path));
        rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);
        Assert.Null(rig.Pass().Trouble);
        var before = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(s_guide, _lab.Client.Get(before));

        rig.Policy = Large("time: 60s, interval: 5s, probes: 3");
        var trouble = rig.Pass().Trouble;
        Assert.StartsWith("New connections are set by passes only: ", trouble, StringComparison.Ordinal);
        Assert.Contains("do not fit into the memory", trouble, StringComparison.Ordinal);
        Assert.Equal(s_other, _lab.Client.Get(before));
        // Not set by the new policy, which does not fit, nor by the old one, which is not in force any more.
        for (var pass = 0; pass < 3; pass++)
        {
            var between = _lab.Client.Connect(Lab.ServerAddress, _port);
            Assert.Equal(s_untouched, _lab.Client.Get(between));
            Assert.Equal(trouble, rig.Pass().Trouble);
            Assert.Equal(s_other, _lab.Client.Get(between));
        }

        rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);
        Assert.Null(rig.Pass().Trouble);
        Assert.Equal(s_guide, _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)));
        Assert.Equal(s_guide, _lab.Client.Get(before));
    }

    public void Dispose()
    {
        _lab.Dispose();
        _cgroup.Dispose();
    }

    /// <summary>The lab's server with many more addresses.</summary>
    private static PolicySnapshot Large(string keepalive) => Rig.PolicyFor(
        string.Join(", ", Enumerable.Range(0, Prefixes).Select(i => $"198.{18 + (i >> 16)}.{(i >> 8) & 255}.{i & 255}").Prepend(Lab.ServerAddress)), keepalive);

    private DatapathRequest Options(DatapathKind datapath) => new(datapath, _cgroup.Path, [_lab.Client.NetnsPath], Attach: true);
}
