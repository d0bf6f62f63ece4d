using Keepalive.Agent.Workloads;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

public sealed class AccountableTests
{
    [Theory]
    [InlineData("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod8f1c.slice/cri-containerd-1a.scope", 0u, "pod kubepods-burstable-pod8f1c.slice")]
    [InlineData("0::/kubepods/besteffort/pod8f1c/1a/../own", 1000u, "pod pod8f1c")]
    [InlineData("0::/../../pod8f1c/1a", 0u, "pod pod8f1c")]
    [InlineData("0::/system.slice/nginx.service", 33u, "unit nginx.service")]
    [InlineData("0::/system.slice/docker-1a.scope/user-0.slice", 0u, "unit docker-1a.scope")]
    [InlineData("0::/user.slice/user-1000.slice/user@1000.service/app.slice/kubepods/pod1", 1000u, "unit user-1000.slice")]
    [InlineData("12:cpu:/x\n1:name=systemd:/system.slice/a.service\n0::/", 5u, "unit a.service")]
    [InlineData("0::/user.slice/user-1000.slice/user@1000.service/x:/kubepods/pod1", 1000u, "unit user-1000.slice")]
    [InlineData("1:name=systemd:/user.slice/user-1000.slice/x:/evil.service\n0::/", 1000u, "unit user-1000.slice")]
    [InlineData("4:memory,name=systemd:x:/a.service\n0::/", 1000u, "user 1000")]
    [InlineData("0::/docker/1a/nested/2b", 0u, "cgroup /docker/1a")]
    [InlineData("1:name=systemd:/ecs/task\n0::/", 0u, "cgroup /ecs/task")]
    [InlineData("0::/docker/1a", 1000u, "user 1000")]
    [InlineData(null, 0u, "cgroup that cannot be read")]
    [InlineData(null, 1000u, "cgroup that cannot be read")]
    [InlineData(null, null, "user unknown")]
    [InlineData("0::/", 65534u, "user 65534")]
    [InlineData("0::/init.scope", 0u, null)]
    [InlineData("0::/", 0u, null)]
    [InlineData("", null, "user unknown")]
    public void Of_CgroupsAndUser_IsThePodElseTheUnitElseTheUser(string? cgroups, uint? uid, string? expected) =>
        Assert.Equal(expected, Accountable.Of(cgroups, uid));

    [Theory]
    [InlineData("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod8F1C_22.slice/cri-containerd-1a.scope", 0u, "pod:8f1c-22")]
    [InlineData("0::/kubepods/besteffort/pod8f1c-22/1a/../own", 1000u, "pod:8f1c-22")]
    [InlineData("0::/../../pod8f1c/1a", 0u, "pod:8f1c")]
    [InlineData("0::/system.slice/nginx.service", 33u, "unit:nginx.service")]
    [InlineData("0::/system.slice/docker-1a.scope/user-0.slice", 0u, "unit:docker-1a.scope")]
    [InlineData("0::/user.slice/user-1000.slice/session-3.scope", 1000u, "uid:1000")]
    [InlineData("0::/user.slice/user-1000.slice/session-4.scope", 0u, "uid:1000")]
    [InlineData("0::/user.slice/user-1000.slice/user@1000.service/app.slice/kubepods/pod1", 1000u, "uid:1000")]
    [InlineData("0::/user.slice/user-0.slice/session-1.scope", 0u, "uid:0")]
    [InlineData("0::/user.slice/user-x.slice/session-1.scope", 0u, "unit:user-x.slice")]
    [InlineData("12:cpu:/x\n1:name=systemd:/system.slice/a.service\n0::/", 5u, "unit:a.service")]
    [InlineData("0::/docker/1a/nested/2b", 0u, "cgroup:/docker/1a")]
    [InlineData("0::/docker/1a", 1000u, "uid:1000")]
    [InlineData(null, 1000u, "cgroup:unreadable")]
    [InlineData(null, null, "uid:unknown")]
    [InlineData("0::/", 65534u, "uid:65534")]
    [InlineData("0::/init.scope", 0u, "uid:0")]
    public void Workload_CgroupsAndUser_IsThePodElseTheUnitElseTheUser(string? cgroups, uint? uid, string expected) =>
        Assert.Equal(expected, ProcessOwner.Of(cgroups, uid).Workload);
}
