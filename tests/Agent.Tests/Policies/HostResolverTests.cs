using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Keepalive.Agent.Policies;
using Xunit;

namespace Keepalive.Agent.Tests.Policies;

public sealed class HostResolverTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-hosts");

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

    /// <summary>Regression: connections to the address before were restored, and broke in their next pause.</summary>
    [Fact]
    public async Task Resolve_HostGetsAnotherAddress_KeepsTheOneBefore()
    {
        IPAddress[] answer = [s_first];
        var resolver = new HostResolver((_, _) => Task.FromResult(answer));
        await resolver.ResolveAsync(["a"], CancellationToken.None);
        answer = [s_second];
        var moved = await resolver.ResolveAsync(["a"], CancellationToken.None);
        Assert.Equal([s_first, s_second], moved.Addresses["a"]);
        Assert.Empty(moved.Kept);
        answer = [s_first];
        Assert.True((await resolver.ResolveAsync(["a"], CancellationToken.None)).IsSameAs(moved));
    }

    [Fact]
    public async Task Resolve_EveryAnswerIsAnother_KeepsTheLatest()
    {
        var number = 0;
        var resolver = new HostResolver((_, _) => Task.FromResult<IPAddress[]>([new IPAddress([10, 0, 0, (byte)number])]));
        for (number = 0; number < 200; number++)
        {
            await resolver.ResolveAsync(["a"], CancellationToken.None);
        }
        number = 199;
        var addresses = (await resolver.ResolveAsync(["a"], CancellationToken.None)).Addresses["a"];
        Assert.Equal(1 + HostResolver.MaxEarlier, addresses.Count);
        Assert.All(addresses, static address => Assert.InRange(address.GetAddressBytes()[3], 199 - HostResolver.MaxEarlier, 199));
    }

    /// <summary>Regression: an agent that was started while names did not resolve knew no addresses, and restored the connections of the agent before.</summary>
    [Fact]
    public async Task Resolve_AgentStartsWhileNothingResolves_UsesTheAddressesOfTheOneBefore()
    {
        IPAddress[] answer = [s_first];
        using (var directory = OpenedData.Open(_directory.FullName))
        {
            var resolver = new HostResolver((_, _) => Task.FromResult(answer), disk: new KeptHosts(directory));
            await resolver.ResolveAsync(["a", "b"], CancellationToken.None);
            answer = [s_second];
            await resolver.ResolveAsync(["a", "b"], CancellationToken.None);
        }
        using var reopened = OpenedData.Open(_directory.FullName);
        var next = new HostResolver((_, _) => throw new SocketException((int)SocketError.TryAgain), disk: new KeptHosts(reopened));
        var answers = await next.ResolveAsync(["a", "c"], CancellationToken.None);
        Assert.Equal([s_first, s_second], answers.Addresses["a"]);
        Assert.Equal(["a"], answers.Kept);
        Assert.DoesNotContain("c", answers.Addresses.Keys);
    }

    [Theory]
    [InlineData("a 203.0.113.1")]
    [InlineData("a 203.0.113.1,bad ")]
    [InlineData("a  203.0.113.1")]
    [InlineData("\0\u2028")]
    public void KeptHosts_DamagedLine_IsSkipped(string line)
    {
        using var directory = OpenedData.Open(_directory.FullName);
        directory.Write(KeptHosts.FileName, KeptHosts.Format, Encoding.UTF8.GetBytes($"{line}\nb 203.0.113.1 2001:db8::1\n"));
        var (name, host) = Assert.Single(new KeptHosts(directory).Read());
        Assert.Equal(("b", 2), (name, host.All.Count));
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

    public void Dispose() => _directory.Delete(recursive: true);
}
