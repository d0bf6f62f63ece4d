using Keepalive.Agent.Apply.Pidfd;
using Keepalive.EndToEnd;
using Keepalive.Linux.Processes;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

public sealed class ForeignFilesTests
{
    /// <summary>The FUSE server of the file never answers a close.</summary>
    [Fact]
    public async Task Close_FileThatDoesNotClose_DelaysNobodyAndIsAbortedAtTheEnd()
    {
        const string owner = "user 65534", other = "user 1";
        Live.Require("python3");
        using var tenant = Tenant.WithFuse(Attacks.Fuse, "127.0.0.1");
        using var process = ProcessDescriptor.TryOpen(tenant.Run.Pid, out _)!;
        var files = new ForeignFiles(TimeProvider.System);
        var closing = Task.Run(
            () =>
            {
                for (var i = 0; i < 4; i++)
                {
                    Assert.False(files.IsFull(owner));
                    Assert.Equal(0, process.TryDuplicate(200, out var descriptor));
                    Assert.NotEqual(0, descriptor.TryGetCookie(out _));
                    files.Close(in descriptor, owner);
                }
            },
            TestContext.Current.CancellationToken);
        // A close that waits for the file never ends.
        await closing.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        tenant.Run.WaitForLine(line => line == "asked FLUSH");
        Assert.True(files.IsFull(owner));
        Assert.False(files.IsFull(other));

        files.Dispose();
        Assert.False(files.IsFull(owner));
    }

    [Fact]
    public void Trusts_OwnersThatHadOtherFiles_NotForAWhile_AndNobodyIfTheyAreMany()
    {
        var clock = new TestClock();
        using var own = ProcessDescriptor.TryOpen(Environment.ProcessId, out _)!;
        using var file = File.OpenHandle("/dev/null");
        using var files = new ForeignFiles(clock);
        Assert.True(files.Trusts("user 1"));

        Close("user 1");
        Assert.False(files.Trusts("user 1"));
        Assert.True(files.Trusts(null));
        Close(null);
        Assert.False(files.Trusts(null));
        Assert.True(files.Trusts("user 2"));

        clock.Advance(TimeSpan.FromMinutes(9));
        for (var i = 3; i < 65; i++)
        {
            Assert.True(files.Trusts("user 2"));
            Close($"user {i}");
        }

        Assert.False(files.Trusts("user 2"));
        clock.Advance(TimeSpan.FromMinutes(1));
        Assert.True(files.Trusts("user 1"));
        Assert.True(files.Trusts("user 2"));

        void Close(string? account)
        {
            Assert.Equal(0, own.TryDuplicate((int)file.DangerousGetHandle(), out var descriptor));
            Assert.NotEqual(0, descriptor.TryGetCookie(out _));
            files.Close(in descriptor, account);
        }
    }
}
