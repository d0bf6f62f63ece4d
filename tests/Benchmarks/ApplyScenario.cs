using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Policies;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>The first pass over sockets that nobody has set, all of it, by the number of sockets.</summary>
/// <remarks>
/// Their other ends are in a namespace that the agent is not shown, as if they were on another node. The goal is held against processor
/// time, which other work on the machine stretches less than the time on the wall.
/// </remarks>
internal static class ApplyScenario
{
    public const string Name = "apply";

    private const int Sockets = 15_000;
    private const int Processes = 100;
    private const int Rounds = 7;
    private const int WarmUps = 3;
    private const double GoalMicroseconds = 10;
    private const string Unit = "µs a socket";

    /// <summary>Of the block set aside for benchmarks (RFC 2544): no other policy on the machine is likely to select it.</summary>
    private const string ServerAddress = "198.18.0.9";

    public static void Run()
    {
        var policy = LabPolicy.Load(ServerAddress);
        var peer = new Peer();
        Report.Title($"{Name}: {Sockets:N0} sockets set for the first time, {Rounds} rounds");
        using (var lab = new Lab())
        {
            lab.AddServerAddress(ServerAddress);
            var client = lab.Client;
            var (first, last) = client.ConnectMany(ServerAddress, lab.Server.Listen(), Sockets);
            var (firstNumber, lastNumber) = (client.Descriptor(first), client.Descriptor(last));
            using var kernel = BpfHere.Load();
            Series wall = new(), processor = new(), givenBack = new(), read = new(), set = new(), bpfWall = new(), bpf = new(), bpfGivenBack = new();
            for (var round = -WarmUps; round < Rounds; round++)
            {
                var (ofSet, ofGivingBack) = SetAndGiveBack(policy, client, null);
                var (ofBpf, ofBpfGivingBack) = kernel is null ? default : SetAndGiveBack(policy, client, kernel);
                var (ofRead, ofPeer) = (peer.Read(client, firstNumber, lastNumber), peer.Set(client, firstNumber, lastNumber));
                if (round >= 0)
                {
                    wall.Add(ofSet.Wall.TotalMicroseconds);
                    processor.Add(ofSet.Processor.TotalMicroseconds);
                    givenBack.Add(ofGivingBack.Processor.TotalMicroseconds);
                    bpfWall.Add(ofBpf.Wall.TotalMicroseconds);
                    bpf.Add(ofBpf.Processor.TotalMicroseconds);
                    bpfGivenBack.Add(ofBpfGivingBack.Processor.TotalMicroseconds);
                    read.Add(ofRead.TotalMicroseconds);
                    set.Add(ofPeer.TotalMicroseconds);
                }
            }
            Report.Goal("one process, processor time", processor, GoalMicroseconds, Unit);
            Report.Line("  by the clock on the wall", wall, Unit);
            Report.Line("  giving them back", givenBack, Unit);
            if (kernel is not null)
            {
                Report.Line("bpf: processor time", bpf, Unit);
                Report.Line("  by the clock on the wall", bpfWall, Unit);
                Report.Line("  giving them back", bpfGivenBack, Unit);
                Report.Line("  beside pidfd", bpf.RelativeTo(processor), "× pidfd");
            }
            Report.Line("  in C: getfd, cookie, 4 × getsockopt, close", read, Unit);
            Report.Line("  in C: the same, and 4 × setsockopt, 4 × getsockopt", set, Unit);
            Report.Line("  beside the latter, which does the same to the sockets", processor.RelativeTo(set), "× C");
        }
        using (var lab = new Lab())
        {
            lab.AddServerAddress(ServerAddress);
            lab.Client.Spawn(Processes, ServerAddress, lab.Server.Listen(), Sockets / Processes);
            Series wall = new(), processor = new();
            for (var round = -WarmUps; round < Rounds; round++)
            {
                var (ofSet, _) = SetAndGiveBack(policy, lab.Client, null);
                if (round >= 0)
                {
                    wall.Add(ofSet.Wall.TotalMicroseconds);
                    processor.Add(ofSet.Processor.TotalMicroseconds);
                }
            }
            Report.Goal($"{Processes} processes, processor time", processor, GoalMicroseconds, Unit);
            Report.Line("  by the clock on the wall", wall, Unit);
        }
    }

    /// <summary>What it takes an agent that has never seen them to set all sockets and to give them back, divided by their number.</summary>
    private static (Cost Set, Cost GivenBack) SetAndGiveBack(PolicySnapshot policy, Holder client, KernelPrograms? kernel)
    {
        using var agent = new AgentInProcess(TimeProvider.System, kernel, client.NetnsPath);
        var set = agent.Pass(policy, new PassScope { Full = true });
        var managed = agent.Count("managed");
        return managed == Sockets
            ? (set / Sockets, agent.Pass(PolicySnapshot.Empty, new PassScope { Full = true, Last = true }) / Sockets)
            : throw new InvalidOperationException($"{managed} of {Sockets} sockets were set: {agent}");
    }
}
