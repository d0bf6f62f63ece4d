using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Keepalive.Agent.Policies;
using Xunit;

namespace Keepalive.Agent.Tests.Policies;

public sealed class HostResolverTests
{
    private static readonly IPAddress s_first = IPAddress.Parse("203.0.113.1");
    private static readonly IPAddress s_second = IPAddress.Parse("2001:db8::1");

    [Fact]
    public async Task Resolve_HostStopsResolving_KeepsItsLastAddresses()
    {
        var fails = false;
        var resolver = new HostResolver((_, _) => fails ? throw new SocketException((int)SocketError.HostNotFound) : Task.FromResult<IPAddress[]>([s_second, s_first, s_first]));
        var before = await resolver.ResolveAsync(["a"], CancellationToken.None);
        Assert.Equal([s_first, s_second], before.Addresses["a"]);
        fails = true;
        Assert.Equal([s_first, s_second], (await resolver.ResolveAsync(["a"], CancellationToken.None)).Addresses["a"]);
        Assert.Empty((await resolver.ResolveAsync(["b"], CancellationToken.None)).Addresses);
    }

    [Fact]
    public async Task Resolve_HostStopsResolving_IsReportedUntilItIsAnswered()
    {
        var fails = false;
        var resolver = new HostResolver((_, _) => fails ? throw new SocketException((int)SocketError.HostNotFound) : Task.FromResult<IPAddress[]>([s_first]));
        var before = await resolver.ResolveAsync(["a", "b"], CancellationToken.None);
        Assert.Empty(before.Kept);
        fails = true;
        var during = await resolver.ResolveAsync(["a", "b"], CancellationToken.None);
        Assert.Equal(["a", "b"], during.Kept.Order());
        Assert.False(during.IsSameAs(before));
        fails = false;
        var after = await resolver.ResolveAsync(["a", "b"], CancellationToken.None);
        Assert.Empty(after.Kept);
        Assert.True(after.IsSameAs(before));
    }

    [Fact]
    public async Task Resolve_ThousandsOfRecords_UsesTheSameFewInAnyOrder()
    {
        var records = Enumerable.Range(0, 5_000).Select(i => new IPAddress([10, 0, (byte)(i >> 8), (byte)i])).ToArray();
        var resolver = new HostResolver((_, _) =>
        {
            Random.Shared.Shuffle(records);
            return Task.FromResult(records.ToArray());
        });
        var once = await resolver.ResolveAsync(["hostile"], CancellationToken.None);
        var again = await resolver.ResolveAsync(["hostile"], CancellationToken.None);
        Assert.Equal(HostResolver.MaxAddresses, once.Addresses["hostile"].Count);
        Assert.Equal(["hostile"], once.Cut);
        Assert.True(again.IsSameAs(once));
        Assert.DoesNotContain("hostile", (await new HostResolver((_, _) => Task.FromResult(records[..HostResolver.MaxAddresses]))
            .ResolveAsync(["hostile"], CancellationToken.None)).Cut);
    }

    [Fact]
    public async Task Resolve_NameServerHangs_OthersAreAnsweredInTime()
    {
        var never = new TaskCompletionSource<IPAddress[]>();
        var resolver = new HostResolver(
            (host, _) => host == "slow" ? never.Task : Task.FromResult<IPAddress[]>([s_first]), perHost: TimeSpan.FromMilliseconds(200));
        var clock = Stopwatch.StartNew();
        var answers = await resolver.ResolveAsync(["slow", "a", "b"], CancellationToken.None);
        Assert.Equal(["a", "b"], answers.Addresses.Keys.Order());
        Assert.InRange(clock.ElapsedMilliseconds, 190, 5000);
    }

    [Fact]
    public async Task Resolve_ManyHangingHosts_EndsWithinItsOwnLimit()
    {
        var never = new TaskCompletionSource<IPAddress[]>();
        var resolver = new HostResolver((_, _) => never.Task, perHost: TimeSpan.FromMilliseconds(300), inAll: TimeSpan.FromSeconds(1));
        var clock = Stopwatch.StartNew();
        Assert.Empty((await resolver.ResolveAsync([.. Enumerable.Range(0, 500).Select(i => $"h{i}")], CancellationToken.None)).Addresses);
        Assert.InRange(clock.ElapsedMilliseconds, 900, 6000);
    }

    [Fact]
    public async Task Resolve_Cancelled_Throws()
    {
        using var stop = new CancellationTokenSource();
        await stop.CancelAsync();
        var resolver = new HostResolver((_, _) => Task.FromResult<IPAddress[]>([s_first]));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => resolver.ResolveAsync(["a"], stop.Token));
    }
}
