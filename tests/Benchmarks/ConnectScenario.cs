using Keepalive.Agent.Apply.Bpf;
using Keepalive.Linux.Processes;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>The cost of the programs at the cgroup for each connection: the same connections with and without them, alternating.</summary>
/// <remarks>The order alternates from round to round, so that other load on the machine affects both equally.</remarks>
internal static class ConnectScenario
{
    public const string Name = "connect";

    private const string ServerAddress = "198.18.0.9";
    private const int Connections = 10_000;
    private const int Rounds = 15;
    private const int WarmUps = 2;

    public static void Run()
    {
        Report.Title($"{Name}: {Connections:N0} short connections a turn, {Rounds} rounds");
        using var kernel = BpfHere.Load();
        if (kernel is null)
        {
            return;
        }
        using var cgroup = new TestCgroup();
        using var lab = new Lab();
        lab.AddServerAddress(ServerAddress);
        cgroup.Add(lab.Client.Pid);
        var port = lab.Server.Listen();
        using var policy = new KernelPolicy(kernel.Policy);
        using var arrivals = new Keepalive.Agent.Apply.Bpf.Arrivals(kernel);
        policy.Replace(LabPolicy.Load(ServerAddress));
        kernel.Activities.Update((uint)ProcFs.Inode(lab.Client.NetnsPath), default(BpfAbi.ka_activity));
        Series without = new(), with = new(), rate = new();
        // A third turn without them shows how much two equal turns differ.
        Series again = new();
        for (var round = -WarmUps; round < Rounds; round++)
        {
            // A new batch: the closed connections of the last one are not counted against the limit.
            kernel.SettingsMap.Update(0u, CgroupPrograms.Signed(new BpfAbi.ka_settings { batch = (uint)(round + WarmUps + 1) }));
            var turns = new ShortConnections[3];
            foreach (var turn in round % 2 == 0 ? (int[])[0, 1, 2] : [2, 1, 0])
            {
                turns[turn] = turn == 1 ? Attached(kernel, cgroup.Path, () => lab.Client.ConnectShort(ServerAddress, port, Connections))
                    : lab.Client.ConnectShort(ServerAddress, port, Connections);
                arrivals.Drain();
            }
            var guide = new KeepaliveValues(true, 700, 10, 20);
            if (turns[1].Seen.GetValueOrDefault(guide) != Connections || turns[0].Seen.ContainsKey(guide) || turns[2].Seen.ContainsKey(guide))
            {
                throw new InvalidOperationException("connections were not set that should have been, or the other way round");
            }
            if (round >= 0)
            {
                without.Add(turns[0].Connecting.TotalMicroseconds / Connections);
                with.Add(turns[1].Connecting.TotalMicroseconds / Connections);
                again.Add(turns[2].Connecting.TotalMicroseconds / Connections);
                rate.Add(Connections / turns[1].Took.TotalSeconds);
            }
        }
        Report.Line("connecting, without", without, "µs");
        Report.Line("connecting, with", with, "µs");
        Report.Line("  beside without, in the same round", with.RelativeTo(without), "×");
        Report.Line("  without beside without, in the same round", again.RelativeTo(without), "×");
        Report.Line("with: connections a second, each looked at and set", rate, "");
    }

    private static T Attached<T>(KernelPrograms kernel, string cgroup, Func<T> work)
    {
        using (new CgroupPrograms(kernel, cgroup))
        using (kernel.TryAttachStates())
        {
            return work();
        }
    }
}
