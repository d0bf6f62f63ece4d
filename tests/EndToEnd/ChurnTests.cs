using System.Collections.Concurrent;
using System.Globalization;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Namespaces, links, processes and sockets that come and go while an agent looks at the whole node.</summary>
[TestClass(DisableParallelization = true)]
[Trait("Node", "whole")]
public sealed class ChurnTests : IDisposable
{
    private const int AtOnce = 20;

    private static readonly int s_labs = Fuzz.Cases(500, usually: 140);

    private readonly AgentProcess _agent = new();

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Run_HundredsOfNamespacesCreatedAndDeleted_SetsEverySocketAndLeaksNothing()
    {
        Live.Require();
        _agent.WritePolicy(PolicyText.For($"{Lab.ServerAddress}, \"{Lab.ServerAddress6}\"", PolicyText.GuideValues));
        var run = _agent.Start();
        using var permanent = new Lab();
        permanent.Client.Connect(Lab.ServerAddress, permanent.Server.Listen());
        Settle(permanent);
        int surplus = Surplus(run);

        int memoryAfterTenth = 0, set = 0;
        for (int batch = 0; batch < s_labs / AtOnce; batch++)
        {
            set += Batch(permanent);
            if (batch == s_labs / AtOnce / 10)
            {
                memoryAfterTenth = AgentProcess.StatusKilobytes(run.Pid, "RssAnon");
            }
        }

        Assert.Equal(s_labs * 3, set);
        Assert.False(run.HasExited, run.Error);
        Settle(permanent);
        Eventually.True(() => Surplus(run) <= surplus, TimeSpan.FromSeconds(10));
        Assert.DoesNotContain("Exception", run.Error, StringComparison.Ordinal);
        int memory = AgentProcess.StatusKilobytes(run.Pid, "RssAnon");
        Assert.True(memory < memoryAfterTenth + (12 * 1024), $"RssAnon {memoryAfterTenth} kB after a tenth of the namespaces, {memory} kB at the end");
        // The records of closed sockets are dropped, too.
        run.Kill();
        run.WaitForExit();
        Assert.InRange(new FileInfo(Path.Combine(_agent.StateDirectory, "state")).Length, 1, 1024 * 1024);
    }

    public void Dispose() => _agent.Dispose();

    /// <summary>Makes labs with three connections and a few short-lived processes each, and returns how many of the connections were
    /// set.</summary>
    private static int Batch(Lab permanent)
    {
        var labs = new ConcurrentBag<Lab>();
        try
        {
            Parallel.For(0, AtOnce, new ParallelOptions { MaxDegreeOfParallelism = 4 }, _ =>
            {
                var lab = new Lab();
                labs.Add(lab);
                int port = lab.Server.Listen();
                lab.Client.Connect(Lab.ServerAddress, port);
                lab.Client.Connect(Lab.ServerAddress6, port);
                lab.Client.Connect(Lab.ServerAddressMapped, port);
                lab.Client.StartProcesses(perSecond: 10, TimeSpan.FromSeconds(1), TimeSpan.FromMilliseconds(50));
            });
            var guide = new KeepaliveValues(true, 700, 10, 20);
            // The first may be set by a pass that began before, the third by the one after a whole pass.
            Settle(permanent, connections: 3);
            return labs.Sum(lab => Enumerable.Range(0, 3).Count(id => lab.Client.Get(id) == guide));
        }
        finally
        {
            foreach (var lab in labs)
            {
                lab.Dispose();
            }
        }
    }

    /// <summary>Waits until the agent has seen the node's current state: only a later pass sets a new connection.</summary>
    private static void Settle(Lab permanent, int connections = 2)
    {
        int port = permanent.Server.Listen();
        for (int i = 0; i < connections; i++)
        {
            int id = permanent.Client.Connect(Lab.ServerAddress, port);
            Eventually.True(() => permanent.Client.Get(id).On, TimeSpan.FromSeconds(10));
        }
    }

    /// <summary>
    /// The agent's descriptors beyond two for each live namespace. Other programs on the machine make namespaces, too, so both are counted
    /// together.
    /// </summary>
    private static int Surplus(ProgramRun run)
    {
        var inhabited = Directory.GetDirectories("/proc")
            .Where(directory => int.TryParse(Path.GetFileName(directory), NumberStyles.None, CultureInfo.InvariantCulture, out _))
            .Select(directory => new FileInfo(directory + "/ns/net").LinkTarget)
            .Where(target => target is not null)
            .Distinct();
        return AgentProcess.Descriptors(run.Pid) - (2 * inhabited.Count());
    }
}
