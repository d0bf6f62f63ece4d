using Keepalive.Agent.Apply;
using Keepalive.Agent.Policies;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>The first pass over sockets that nobody has set, all of it, by the number of sockets. Their other ends are in another namespace.</summary>
internal static class ApplyScenario
{
    public const string Name = "apply";

    private const int Sockets = 15_000;
    private const int Processes = 100;
    private const int Rounds = 7;
    private const int WarmUps = 3;
    private const double GoalMicroseconds = 10;

    public static void Run()
    {
        var policy = LabPolicy.Load(Lab.ServerAddress);
        var peer = new Peer();
        Report.Title($"{Name}: {Sockets:N0} sockets set for the first time, {Rounds} rounds");
        using (var lab = new Lab())
        {
            var client = lab.Client;
            var (first, last) = client.ConnectMany(Lab.ServerAddress, lab.Server.Listen(), Sockets);
            var (firstNumber, lastNumber) = (client.Descriptor(first), client.Descriptor(last));
            Series agent = new(), read = new(), set = new(), again = new();
            Repeat(policy, agent, again, () =>
            {
                read.Add(peer.Read(client, firstNumber, lastNumber).TotalMicroseconds);
                set.Add(peer.Set(client, firstNumber, lastNumber).TotalMicroseconds);
            });
            Report.Goal("one process", agent, GoalMicroseconds, "µs a socket");
            Report.Line("  giving them back", again, "µs a socket");
            Report.Line("  in C: getfd, cookie, 4 × getsockopt, close", read, "µs a socket");
            Report.Line("  in C: the same, and 4 × setsockopt, 4 × getsockopt", set, "µs a socket");
            Report.Line("  beside the latter, which does the same work", agent.RelativeTo(set), "× C");
        }
        using (var lab = new Lab())
        {
            lab.Client.Spawn(Processes, Lab.ServerAddress, lab.Server.Listen(), Sockets / Processes);
            Series agent = new(), again = new();
            Repeat(policy, agent, again, () => { });
            Report.Goal($"{Processes} processes", agent, GoalMicroseconds, "µs a socket");
        }
    }

    /// <summary>Sets all sockets with an agent that has never seen them, and gives them back.</summary>
    private static void Repeat(PolicySnapshot policy, Series set, Series givenBack, Action peers)
    {
        for (var round = -WarmUps; round < Rounds; round++)
        {
            using var agent = new AgentInProcess(TimeProvider.System);
            var ofSet = agent.Pass(policy, new PassScope { Full = true });
            var managed = agent.Count("managed");
            if (managed != Sockets)
            {
                throw new InvalidOperationException($"{managed} of {Sockets} sockets were set");
            }
            var ofGivingBack = agent.Pass(PolicySnapshot.Empty, new PassScope { Full = true, Last = true });
            if (round < 0)
            {
                continue;
            }
            set.Add(ofSet.Wall.TotalMicroseconds / Sockets);
            givenBack.Add(ofGivingBack.Wall.TotalMicroseconds / Sockets);
            peers();
        }
    }
}
