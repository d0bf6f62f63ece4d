using System.Diagnostics;
using System.Globalization;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>One TCP stream at full speed that no policy selects, on an interface that is captured for another connection.</summary>
internal static class TrafficScenario
{
    public const string Name = "traffic";

    private const int Pairs = 9;
    private const double Seconds = 2;
    private const double GoalPercent = 3;
    private const double GoalRatio = 1.03;
    private const string ManagedAddress = "198.18.0.9";

    private const string Sink = """
        import socket
        s = socket.create_server(("", 0))
        print("port", s.getsockname()[1], flush=True)
        while True:
            c, _ = s.accept()
            while c.recv(1 << 20):
                pass
        """;

    private const string Source = """
        import socket, sys, time
        c = socket.create_connection((sys.argv[1], int(sys.argv[2])))
        b, n, end = bytes(1 << 18), 0, time.monotonic() + float(sys.argv[3])
        while time.monotonic() < end:
            n += c.send(b)
        print(n)
        """;

    public static void Run()
    {
        if (LiveSupport.Missing("python3") is { } missing)
        {
            throw new InvalidOperationException(missing);
        }
        Report.Title($"{Name}: one unmanaged TCP stream over a captured interface, {Pairs} pairs of {Seconds} s with and without the agent");
        using var lab = new Lab();
        lab.AddServerAddress(ManagedAddress);
        var managed = lab.Client.Connect(ManagedAddress, lab.Server.Listen());
        using var sink = new ProgramRun(["python3", "-c", Sink], lab.Server);
        var port = sink.WaitForLine(line => line.StartsWith("port ", StringComparison.Ordinal))[5..];
        var policy = LabPolicy.Write(ManagedAddress);
        Series with = new(), without = new(), percent = new();
        for (var pair = 0; pair < Pairs; pair++)
        {
            // The order alternates, so that drift affects both equally.
            for (var turn = 0; turn < 2; turn++)
            {
                if ((turn == 0) == (pair % 2 == 0))
                {
                    without.Add(Stream(lab, port));
                    continue;
                }
                using var agent = ProgramRun.Agent(
                    "run", "--policies", policy, "--listen", "none", "--netns", lab.Client.NetnsPath, "--capture", "on",
                    "--state-dir", Path.Combine(Workspace.Directory, "state"));
                agent.WaitForLine(line => line.Contains("started", StringComparison.Ordinal));
                Eventually.True(() => lab.Client.Get(managed).On && PacketSockets(lab) == 1, TimeSpan.FromSeconds(10));
                var process = new ProcessFigures(agent.Pid);
                var (processor, begun) = (process.Processor(), Stopwatch.GetTimestamp());
                with.Add(Stream(lab, port));
                percent.Add(100 * (process.Processor() - processor) / Stopwatch.GetElapsedTime(begun));
                agent.Terminate();
                agent.WaitForExit();
            }
        }
        Report.Line("without the agent", without, "MB a second");
        Report.Line("with it", with, "MB a second");
        Report.Goal("  without beside with, pairwise", without.RelativeTo(with), GoalRatio, "×");
        Report.Goal("the agent's processor", percent, GoalPercent, "% of one core");
    }

    private static double Stream(Lab lab, string port) => double.Parse(
        lab.Client.Run("python3", "-c", Source, Lab.ServerAddress, port, Seconds.ToString(CultureInfo.InvariantCulture)).Output,
        CultureInfo.InvariantCulture) / 1e6 / Seconds;

    private static int PacketSockets(Lab lab) => File.ReadLines($"/proc/{lab.Client.Pid}/net/packet").Count() - 1;
}
