using Keepalive.Agent.Liveness;
using Keepalive.Agent.Tests.Apply;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Liveness;

/// <summary>Compares the unanswered probes in captures with the kernel's count, at random instants.</summary>
public sealed class UnansweredTests
{
    /// <summary>One round loses everything; most of another has closed windows.</summary>
    private static readonly int s_instants = Fuzz.Cases(1000, usually: 400);
    private static readonly int s_seed = Fuzz.Seed(7);

    private const int Round = 250;

    /// <summary>The longest time on a busy machine until a packet that the kernel has counted is read from the ring.</summary>
    private static readonly TimeSpan s_lag = TimeSpan.FromSeconds(1);

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public async Task Unanswered_RandomInstantsWithLossAndZeroWindows_IsTheKernels()
    {
        Live.Require();
        using var lab = new Lab();
        var port = lab.Server.Listen();
        foreach (var address in (string[])[Lab.ServerAddress, Lab.ServerAddress6, Lab.ServerAddressMapped])
        {
            lab.Client.ConnectMany(address, port, 4);
        }
        var rules = Rig.PolicyFor($"{Lab.ServerAddress}, \"{Lab.ServerAddress6}\"", "time: 1s, interval: 1s, probes: 100");
        using var rig = new DatapathOnly(lab.Client.NetnsPath);
        using var watch = new LivenessWatch(captures: true, TimeProvider.System, NullLogger.Instance, maxInterfaces: 8, maxNamespaces: 0);
        await watch.StartAsync(TestContext.Current.CancellationToken);
        watch.Survey(rig.Datapath, rules, default);
        rig.Pass(rules, watch);
        using var kernel = NamespaceSockets.Open(lab.Client.NetnsPath);
        var inode = (ulong)lab.Client.NetnsInode;

        // The capture started in mid-flow: the first answered probe shows the connection's sequence numbers.
        Eventually.True(() => Nstat.Read(lab.Client, Nstat.KeepaliveProbes) >= 2 * 12, TimeSpan.FromSeconds(10));

        var random = new Random(s_seed);
        var (compared, nonZero, persisting, disagreements) = (0, 0, 0, new List<string>());
        for (var instant = 0; instant < s_instants && disagreements.Count < 5; instant++)
        {
            Disturb(lab, instant);
            Thread.Sleep(random.Next(2, 26));   // random instants; does not wait for anything
            foreach (var (cookie, (timer, count)) in Read(kernel))
            {
                persisting += timer == TcpTimer.ZeroWindowProbe ? 1 : 0;
                if (timer is not (TcpTimer.Keepalive or TcpTimer.ZeroWindowProbe))
                {
                    continue;
                }
                var expected = timer == TcpTimer.Keepalive ? count : 0;
                compared++;
                nonZero += expected > 0 ? 1 : 0;
                if (watch.Monitor.Unanswered(inode, cookie) != expected && !AgreesSoon(watch, kernel, inode, cookie))
                {
                    disagreements.Add($"instant {instant}: {watch.Monitor.Unanswered(inode, cookie)}, the kernel {expected} ({timer})");
                }
            }
        }

        Assert.Empty(disagreements);
        Assert.InRange(compared, s_instants * 8, s_instants * 12);
        Assert.InRange(nonZero, s_instants, compared);
        Assert.InRange(persisting, 100, compared);
    }

    /// <summary>Both counts change. They agree if one look within the time for a packet shows equal counts.</summary>
    private static bool AgreesSoon(LivenessWatch watch, NamespaceSockets kernel, ulong inode, ulong cookie)
    {
        try
        {
            Eventually.True(
                () => Read(kernel).TryGetValue(cookie, out var now)
                    && watch.Monitor.Unanswered(inode, cookie) == (now.Timer == TcpTimer.Keepalive ? now.Count : 0),
                s_lag);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    /// <summary>Loses everything, then only replies, then nothing, repeatedly; closes some windows after the first round.</summary>
    private static void Disturb(Lab lab, int instant)
    {
        switch (instant % Round)
        {
            case 50:
                lab.BlackHole();
                break;
            case 150:
                lab.LoseReplies();
                break;
            case 200:
                lab.Restore();
                break;
        }
        if (instant == Round)
        {
            lab.Server.SetReading(false);
            foreach (var id in (int[])[0, 5, 10])
            {
                lab.Client.Send(id, 16_000_000);
            }
        }
    }

    private static Dictionary<ulong, (TcpTimer Timer, int Count)> Read(NamespaceSockets kernel)
    {
        var visitor = new Timers([]);
        kernel.Diag.Dump(TcpStates.Established, details: false, ref visitor);
        return visitor.Sockets;
    }

    private readonly struct Timers(Dictionary<ulong, (TcpTimer, int)> sockets) : ISockDiagVisitor
    {
        public Dictionary<ulong, (TcpTimer, int)> Sockets { get; } = sockets;

        public void Visit(in DiagnosedSocket socket) => Sockets[socket.Cookie] = (socket.Timer, socket.TimerCount);
    }
}
