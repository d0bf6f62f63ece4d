using Keepalive.Agent.Apply;
using Keepalive.Linux.Namespaces;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>60,000 sockets in one namespace, all of them set: the cost of a pass with nothing to do, compared with <c>ss</c>.</summary>
/// <remarks>Four processes: a process may have 20,000 descriptors, and each connection over loopback is two sockets.</remarks>
internal static class SocketsScenario
{
    public const string Name = "sockets";

    private const int Most = 30_000;
    private const int Rounds = 15;
    private const int WarmUps = 4;
    private const double Goal = 1.25;

    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(5);

    public static void Run()
    {
        foreach (var connections in (int[])[Most / 16, Most / 4, Most])
        {
            Run(connections);
        }
    }

    private static void Run(int connections)
    {
        using var first = Holder.StartInNewNamespace();
        using var second = first.StartBeside();
        using var third = first.StartBeside();
        using var fourth = first.StartBeside();
        var some = Connect(first, third, second, fourth, connections);
        var port = third.Listen("127.0.0.1");

        var policy = LabPolicy.Load("127.0.0.0/8");
        var clock = new StillClock();
        var peer = new Peer();
        using var agent = new AgentInProcess(clock, null);
        using var kernel = BpfHere.Load();
        using var bpf = kernel is null ? null : new AgentInProcess(clock, kernel);
        var apply = agent.Pass(policy, new PassScope { Full = true });
        var managed = agent.Count("managed");
        if (managed != 2 * connections)
        {
            throw new InvalidOperationException($"{managed} of {2 * connections} sockets were set: {agent}");
        }

        // The other agent has set them; this agent must treat them as its own.
        var replacing = policy with { Existing = Config.ExistingMode.Replace };
        bpf?.Pass(replacing, new PassScope { Full = true });
        Report.Title($"{Name}: {2 * connections:N0} sockets in one namespace, {Rounds} rounds");
        Report.Line("their first apply, this once", $"{apply.Wall.TotalMilliseconds:0} ms, {apply.Wall.TotalMicroseconds / managed:0.0} µs a socket");
        using var watched = NamespaceSockets.Open(first.NetnsPath);
        Series ss = new(), ssProcessor = new(), steady = new(), steadyProcessor = new(), dumped = new(), gated = new(), values = new(),
            plain = new(), details = new(), c = new(), cValues = new(), allocated = new(), bpfSteady = new(), bpfProcessor = new(), bpfGated = new();
        for (var round = -WarmUps; round < Rounds; round++)
        {
            var ofSs = peer.Run(first, "ss", "-tnoH");
            first.Connect("127.0.0.1", port);
            clock.Advance(s_interval);
            var ofSteady = agent.Pass(policy, new PassScope());
            var (ofAllocation, wasDumped) = (agent.Allocated, agent.Last.NamespacesDumped);
            var ofBpf = bpf?.Pass(replacing, new PassScope()) ?? default;
            var wasBpf = bpf is null || (bpf.Last.NamespacesDumped == 1 && bpf.Last.Read > 2 * connections);
            var ofBpfGated = bpf?.Pass(replacing, new PassScope()) ?? default;
            first.Connect("127.0.0.1", port);
            var ofDumped = agent.Pass(policy, new PassScope());
            var ofGated = agent.Pass(policy, new PassScope());
            var wasGated = agent.Last.NamespacesDumped == 0;
            clock.Advance(s_interval);
            var ofValues = agent.Pass(policy, new PassScope());
            var wasValues = agent.Last.NamespacesDumped == 0;
            var ofPlain = Cost.Of(() => Dump(watched, details: false, 2 * connections));
            var ofDetails = Cost.Of(() => Dump(watched, details: true, 2 * connections));
            var ofC = peer.Dump(first).Took;
            var tenth = 2 * connections / 10;
            var ofCValues = ofC + (tenth * peer.Read(first, some, some + tenth - 1));
            if (round < 0)
            {
                continue;
            }
            bpfSteady.Add(ofBpf.Wall);
            bpfProcessor.Add(ofBpf.Processor);
            bpfGated.Add(ofBpfGated.Wall);
            if (wasDumped != 1 || !wasGated || !wasBpf)
            {
                throw new InvalidOperationException("a pass was dumped that should not have been, or the other way round");
            }
            ss.Add(ofSs.Wall);
            ssProcessor.Add(ofSs.Processor);
            steady.Add(ofSteady.Wall);
            steadyProcessor.Add(ofSteady.Processor);
            dumped.Add(ofDumped.Wall);
            gated.Add(ofGated.Wall);
            if (wasValues)
            {
                values.Add(ofValues.Wall);
            }
            plain.Add(ofPlain.Wall);
            details.Add(ofDetails.Wall);
            c.Add(ofC);
            cValues.Add(ofCValues);
            allocated.Add(ofAllocation / 1e6);
        }
        Report.Line("ss -tnoH > file", ss, "ms");
        Report.Line("sock_diag dump alone, in C, with tcp_info", c, "ms");
        Report.Line("  and a tenth of all values read, in C, without a check", cValues, "ms");
        Report.Line("sock_diag dump alone, here, with tcp_info", details, "ms");
        Report.Line("sock_diag dump alone, here, without", plain, "ms");
        Report.Line("pass, nothing new: not dumped", gated, "ms");
        Report.Line("pass, nothing new, 5 s on: a tenth of all values read again", values, "ms");
        Report.Line("pass, one new connection: dumped", dumped, "ms");
        Report.Line("pass, one new connection, 5 s on: dumped, a tenth read again", steady, "ms");
        Report.Line("  it allocates", allocated, "MB");
        Say("  beside the dump and a tenth in C", steady.RelativeTo(cValues), connections);
        Say("  beside the dump alone in C", steady.RelativeTo(c), connections);
        Report.Line("  beside ss", steady.RelativeTo(ss), "× ss");
        Report.Line("  beside ss, by processor time", steadyProcessor.RelativeTo(ssProcessor), "× ss");
        if (bpf is not null)
        {
            Report.Line("bpf: pass, nothing new: not read", bpfGated, "ms");
            Report.Line("bpf: pass, one new connection: all values of all sockets read", bpfSteady, "ms");
            Say("  beside the dump in C", bpfSteady.RelativeTo(c), connections);
            Report.Line("  beside ss", bpfSteady.RelativeTo(ss), "× ss");
            Report.Line("  beside ss, by processor time", bpfProcessor.RelativeTo(ssProcessor), "× ss");
        }
    }

    /// <summary>The goal is about the whole number of sockets.</summary>
    private static void Say(string what, Series series, int connections)
    {
        if (connections == Most)
        {
            Report.Goal(what, series, Goal, "× C");
        }
        else
        {
            Report.Line(what, series, "× C");
        }
    }

    /// <summary>Connects two clients. Returns the first socket of the first client, whose descriptors follow each other.</summary>
    private static int Connect(Holder client, Holder server, Holder otherClient, Holder otherServer, int connections)
    {
        var (port, otherPort) = (server.Listen("127.0.0.1"), otherServer.Listen("127.0.0.1"));
        var some = Task.Run(() => client.ConnectMany("127.0.0.1", port, connections / 2));
        var others = Task.Run(() => otherClient.ConnectMany("127.0.0.1", otherPort, connections - (connections / 2)));
        Task.WaitAll(some, others);
        Eventually.True(() => server.Count().Accepted + otherServer.Count().Accepted == connections, TimeSpan.FromSeconds(20));
        return client.Descriptor(some.Result.First);
    }

    private static void Dump(NamespaceSockets watched, bool details, int least)
    {
        var count = default(Counter);
        watched.Diag.Dump(TcpStates.Connections, details, ref count);
        if (count.Sockets < least)
        {
            throw new InvalidOperationException($"a dump had {count.Sockets} sockets");
        }
    }

    private struct Counter : ISockDiagVisitor
    {
        public int Sockets;

        public void Visit(in DiagnosedSocket socket) => Sockets++;
    }
}
