using Keepalive.Agent.Apply;
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
    [InlineData("0::/", 65534u, "user 65534")]
    [InlineData("0::/init.scope", 0u, null)]
    [InlineData("0::/", 0u, null)]
    [InlineData("", null, "user unknown")]
    public void Of_CgroupsAndUser_IsThePodElseTheUnitElseTheUser(string cgroups, uint? uid, string? expected) =>
        Assert.Equal(expected, Accountable.Of(cgroups, uid));
}
