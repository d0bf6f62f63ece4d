using Xunit;

namespace Keepalive.Testbed;

/// <summary>The requirements of tests with a real kernel: root, network namespaces, a C compiler.</summary>
internal static class Live
{
    /// <summary>Skips the test, with the reason, where it cannot run. With KEEPALIVE_REQUIRE_LIVE=1 the test fails instead.</summary>
    public static void Require(params string[] tools)
    {
        if (LiveSupport.Missing(tools) is not { } reason)
        {
            return;
        }

        if (Environment.GetEnvironmentVariable("KEEPALIVE_REQUIRE_LIVE") == "1")
        {
            Assert.Fail($"KEEPALIVE_REQUIRE_LIVE=1, but {reason}");
        }

        Assert.Skip(reason);
    }
}
