using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Policies;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>The whole first pass over sockets that no agent has set yet, by the number of sockets.</summary>
/// <remarks>
/// Their other ends are in a namespace that the agent does not look at, as if they were on another node. The goal is about processor time:
/// other load on the machine changes it less than wall time.
/// </remarks>
internal static class ApplyScenario
{
    public const string Name = "apply";

    private const int Most = 15_000;
    private const int Processes = 100;
    private const int Rounds = 15;
    private const int WarmUps = 3;
    private const double Goal = 1.4;
    private const double GoalBpf = 3.5;
    private const string Unit = "µs a socket";

    /// <summary>From the address block for benchmarks (RFC 2544): no other policy on the machine is likely to select it.</summary>
    private const string ServerAddress = "198.18.0.9";

    public static void Run()
    {
        foreach (var sockets in (int[])[Most / 16, Most / 4, Most])
        {
            Run(sockets);
        }
    }

    private static void Run(int sockets)
    {
        var policy = LabPolicy.Load(ServerAddress);
        var peer = new Peer();
        Report.Title($"{Name}: {sockets:N0} sockets set for the first time, {Rounds} rounds");
        using (var lab = new Lab())
        {
            lab.AddServerAddress(ServerAddress);
            var client = lab.Client;
            var (first, last) = client.ConnectMany(ServerAddress, lab.Server.Listen(), sockets);
            var (firstNumber, lastNumber) = (client.Descriptor(first), client.Descriptor(last));
            using var kernel = BpfHere.Load();
            Series wall = new(), processor = new(), restored = new(), read = new(), set = new(), checkedSet = new(), bpfWall = new(), bpf = new(), bpfRestored = new();
            for (var round = -WarmUps; round < Rounds; round++)
            {
                var (ofSet, ofRestoring) = SetAndRestore(policy, client, null, sockets);
                var (ofBpf, ofBpfRestoring) = kernel is null ? default : SetAndRestore(policy, client, kernel, sockets);
                var (ofRead, ofPeer) = (peer.Read(client, firstNumber, lastNumber), peer.Set(client, firstNumber, lastNumber));
                var ofChecked = peer.SetWithChecks(client, firstNumber, lastNumber);
                if (round >= 0)
                {
                    wall.Add(ofSet.Wall.TotalMicroseconds);
                    processor.Add(ofSet.Processor.TotalMicroseconds);
                    restored.Add(ofRestoring.Processor.TotalMicroseconds);
                    bpfWall.Add(ofBpf.Wall.TotalMicroseconds);
                    bpf.Add(ofBpf.Processor.TotalMicroseconds);
                    bpfRestored.Add(ofBpfRestoring.Processor.TotalMicroseconds);
                    read.Add(ofRead.TotalMicroseconds);
                    set.Add(ofPeer.TotalMicroseconds);
                    checkedSet.Add(ofChecked.TotalMicroseconds);
                }
            }
            Report.Line("one process, processor time", processor, Unit);
            Report.Line("  by the clock on the wall", wall, Unit);
            Report.Line("  restoring them", restored, Unit);
            Report.Line("  in C: getfd, cookie, 4 × getsockopt, close", read, Unit);
            Report.Line("  in C: the same, and 4 × setsockopt, 4 × getsockopt", set, Unit);
            Report.Line("  in C: the same, and the checks before a write", checkedSet, Unit);
            Say("  beside the latter", processor.RelativeTo(checkedSet), Goal, "× C", sockets);
            if (kernel is not null)
            {
                Say("bpf: processor time", bpf, GoalBpf, Unit, sockets);
                Report.Line("  by the clock on the wall", bpfWall, Unit);
                Report.Line("  restoring them", bpfRestored, Unit);
                Report.Line("  beside pidfd", bpf.RelativeTo(processor), "× pidfd");
            }
        }
        using (var lab = new Lab())
        {
            lab.AddServerAddress(ServerAddress);
            var each = sockets / Processes;
            lab.Client.Spawn(Processes, ServerAddress, lab.Server.Listen(), each);
            Series wall = new(), processor = new();
            for (var round = -WarmUps; round < Rounds; round++)
            {
                var (ofSet, _) = SetAndRestore(policy, lab.Client, null, each * Processes);
                if (round >= 0)
                {
                    wall.Add(ofSet.Wall.TotalMicroseconds);
                    processor.Add(ofSet.Processor.TotalMicroseconds);
                }
            }
            Report.Line($"{Processes} processes, processor time", processor, Unit);
            Report.Line("  by the clock on the wall", wall, Unit);
        }
    }

    /// <summary>The goals are about the whole number of sockets.</summary>
    private static void Say(string what, Series series, double goal, string unit, int sockets)
    {
        if (sockets == Most)
        {
            Report.Goal(what, series, goal, unit);
        }
        else
        {
            Report.Line(what, series, unit);
        }
    }

    /// <summary>The time per socket of a new agent: to set all sockets, and to restore them.</summary>
    private static (Cost Set, Cost Restored) SetAndRestore(PolicySnapshot policy, Holder client, KernelPrograms? kernel, int sockets)
    {
        using var agent = new AgentInProcess(TimeProvider.System, kernel, client.NetnsPath);
        var set = agent.Pass(policy, new PassScope { Full = true });
        // On a busy machine, the search for owners may use up its time in the first pass.
        for (var more = 0; agent.Count("managed") < sockets && more < 5; more++)
        {
            set += agent.Pass(policy, new PassScope { Full = true });
        }
        var managed = agent.Count("managed");
        return managed == sockets
            ? (set / sockets, agent.Pass(PolicySnapshot.Empty, new PassScope { Full = true, Last = true }) / sockets)
            : throw new InvalidOperationException($"{managed} of {sockets} sockets were set: {agent}");
    }
}
