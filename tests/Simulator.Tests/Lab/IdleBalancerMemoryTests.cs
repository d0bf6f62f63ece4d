using Keepalive.Config.Balancers;
using Keepalive.Linux.Packets;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary>Tests that measure the memory of their process. No other test runs at the same time.</summary>
[CollectionDefinition(nameof(MemoryOfTheProcess), DisableParallelization = true)]
public sealed class MemoryOfTheProcess;

[Collection(nameof(MemoryOfTheProcess))]
public sealed class IdleBalancerMemoryTests
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(10);

    [Fact]
    public void Process_HundredThousandConnectionsTwice_LeaveNothingBehind()
    {
        const int count = 100_000;
        var sent = 0;
        var balancer = new IdleBalancer(new BalancerRule(s_timeout, IdleBehaviour.Find("reset-both")!.Value), (_, _) => sent++, _ => { });
        var memory = new List<long>();
        var now = TimeSpan.Zero;
        for (var round = 0; round < 3; round++)
        {
            for (var i = 0; i < count; i++)
            {
                now += TimeSpan.FromTicks(100);
                var segment = new Segment(FlowEnd.Client, TcpFlags.Syn, 1, 0) { ClientNumber = 1 + (i / 50_000), ClientPort = 1 + (i % 50_000) };
                Assert.True(balancer.Process(FlowEnd.Client, segment.ToFrame(), now));
                var answer = segment with { From = FlowEnd.Server, Flags = TcpFlags.Syn | TcpFlags.Ack, Acknowledgment = 2 };
                Assert.True(balancer.Process(FlowEnd.Server, answer.ToFrame(), now));
            }
            Assert.Equal(count, balancer.FlowCount);
            now += s_timeout;
            balancer.Expire(now);
            Assert.Equal(LabFlowTable.MaxKept, balancer.FlowCount);
            Assert.Equal((round + 1) * count, balancer.Totals.Expired);
            now += LabFlowTable.ExpiredTime;
            balancer.Expire(now);
            Assert.Equal(0, balancer.FlowCount);
            Assert.Null(balancer.NextDue());
            memory.Add(GC.GetTotalMemory(forceFullCollection: true));
        }

        Assert.Equal(2 * 3 * count, sent);
        // The table allocates its buckets in the first round, and nothing after that.
        Assert.InRange(memory[2] - memory[0], long.MinValue, 1 << 20);
        GC.KeepAlive(balancer);
    }
}
