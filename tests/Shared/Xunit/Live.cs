using Xunit;

namespace Keepalive.Testbed;

/// <summary>Gate of tests that need a real kernel to play with: root, network namespaces, a C compiler.</summary>
internal static class Live
{
    /// <summary>Skips the test, with the reason, where it cannot run; with KEEPALIVE_REQUIRE_LIVE=1 that is a failure.</summary>
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
