using Keepalive.Simulator.Lab;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

public sealed class NamespaceObstacleTests
{
    private const string Refused = "unshare: unshare failed: Operation not permitted";

    [Theory]
    [InlineData("/proc/sys/user/max_user_namespaces", "0\n", "sysctl -w user.max_user_namespaces=")]
    [InlineData("/proc/sys/user/max_net_namespaces", "0\n", "sysctl -w user.max_net_namespaces=")]
    [InlineData("/proc/sys/kernel/unprivileged_userns_clone", "0\n", "sysctl -w kernel.unprivileged_userns_clone=1")]
    [InlineData("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")]
    [InlineData("/proc/self/status", "NoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n", "A seccomp filter is in force")]
    public void Explain_ForbiddingSetting_IsNamedWithItsRemedy(string path, string contents, string expected)
    {
        Assert.Contains(expected, NamespaceObstacle.Explain("lab", Refused, file => file == path ? contents : null), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/proc/sys/user/max_user_namespaces", "96365\n")]
    [InlineData("/proc/sys/kernel/unprivileged_userns_clone", "1\n")]
    [InlineData("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0\n")]
    [InlineData("/proc/self/status", "Seccomp:\t0\n")]
    public void Explain_AllowingSetting_IsNotBlamed(string path, string contents)
    {
        var nothingKnown = NamespaceObstacle.Explain("lab", Refused, _ => null);

        Assert.Equal(nothingKnown, NamespaceObstacle.Explain("lab", Refused, file => file == path ? contents : null));
        Assert.Contains("as root", nothingKnown, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("unshare: unshare failed: No space left on device", "A limit on their number is reached")]
    [InlineData("unshare: mount /proc failed: Operation not permitted", "/proc of this container is masked")]
    public void Explain_NoForbiddingSetting_UsesUnsharesError(string error, string expected)
    {
        var text = NamespaceObstacle.Explain("lab", error, _ => null);

        Assert.Contains(expected, text, StringComparison.Ordinal);
        Assert.Contains(error, text, StringComparison.Ordinal);
    }
}
