using Keepalive.Agent.Kubernetes;
using Xunit;

namespace Keepalive.Agent.Tests.Kubernetes;

/// <summary>Names of cgroups as the kubelet and the container runtimes write them.</summary>
public sealed class PodCgroupTests
{
    private const string Uid = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";
    private const string Under = "0b1c2d3e_4f50_6172_8394_a5b6c7d8e9f0";
    private const string Id = "5e2f00000000000000000000000000000000000000000000000000000000abcd";
    private const string Hash = "0123456789abcdef0123456789abcdef";

    [Theory]
    [InlineData($"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{Under}.slice/cri-containerd-{Id}.scope\n", Uid, Id)]
    [InlineData($"0::/kubepods.slice/kubepods-pod{Under}.slice/crio-{Id}.scope\n", Uid, Id)]
    [InlineData($"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{Under}.slice/docker-{Id}.scope\n", Uid, Id)]
    [InlineData($"0::/kubepods.slice/kubepods-pod{Under}.slice/crio-{Id}.scope/container\n", Uid, Id)]
    [InlineData($"0::/kubepods/burstable/pod{Uid}/{Id}\n", Uid, Id)]
    [InlineData($"0::/kubepods/pod{Uid}/crio-{Id}\n", Uid, Id)]
    [InlineData($"0::/kubepods/pod{Uid}\n", Uid, null)]
    [InlineData($"0::/../../pod{Uid}/{Id}\n", Uid, Id)]
    [InlineData($"0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{Under}.slice/cri-containerd-{Id}.scope\n", Uid, Id)]
    [InlineData($"12:cpuset:/\n11:memory:/kubepods/burstable/pod{Uid}/{Id}\n0::/\n", Uid, Id)]
    [InlineData($"1:name=systemd:/kubepods-burstable-pod{Under}.slice:cri-containerd:{Id}\n", Uid, Id)]
    [InlineData($"0::/kubepods/besteffort/pod{Hash}/{Id}\n", Hash, Id)]
    [InlineData($"0::/user.slice/user-1000.slice/user@1000.service/kubepods.slice/kubepods-pod{Under}.slice/crio-{Id}.scope\n", null, null)]
    [InlineData($"5:pids:/user.slice/user-1000.slice/kubepods/pod{Uid}/{Id}\n0::/kubepods/pod{Hash}\n", Hash, null)]
    [InlineData("0::/system.slice/sshd.service\n", null, null)]
    [InlineData("0::/podman-1234.scope\n", null, null)]
    [InlineData("", null, null)]
    public void Parse_CgroupNames_AreRecognized(string cgroup, string? pod, string? container)
    {
        var found = PodCgroup.Parse(cgroup);
        Assert.Equal(pod, found?.Pod);
        Assert.Equal(container, found?.Container);
    }
}
