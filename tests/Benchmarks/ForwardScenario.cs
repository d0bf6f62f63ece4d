using System.Diagnostics;
using System.Globalization;
using Keepalive.Simulator.Lab;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>One TCP stream through the lab, compared with the same stream through a program in C that only forwards frames.</summary>
/// <remarks>Both use two hops of veth, the same MTU and no offloads, and alternate round by round.</remarks>
internal static class ForwardScenario
{
    public const string Name = "forward";

    private const int Rounds = 7;
    private const int WarmUps = 1;
    private const int Seconds = 2;
    private const int Port = 5001;
    private const double Goal = 0.6;

    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    public static void Run()
    {
        var stream = CProgram.Build("stream");
        Series ofC = new(), ofLab = new();
        for (var round = -WarmUps; round < Rounds; round++)
        {
            var (c, lab) = (InC(stream), InLab(stream));
            if (round >= 0)
            {
                ofC.Add(c);
                ofLab.Add(lab);
            }
        }
        Report.Title($"{Name}: one TCP stream for {Seconds} s between two namespaces, MTU 1500, no offloads, {Rounds} rounds");
        Report.Line("carried by a program in C, recvmmsg and sendmmsg of 64", ofC, "MB/s");
        Report.Line("carried by keepalive-sim lab, through its balancer", ofLab, "MB/s");
        Report.AtLeast("  beside C", ofLab.RelativeTo(ofC), Goal, "× C");
    }

    private static double InC(string stream)
    {
        using var network = LabNetwork.Create();
        using var forwarder = network.Between.Run(() => Process.Start(new ProcessStartInfo(stream, ["forward", LabNetwork.ClientBetween, LabNetwork.ServerBetween]) { RedirectStandardOutput = true }))!;
        using var sink = network.Server.Start([stream, "sink", $"{Port}"], capture: true);
        try
        {
            forwarder.StandardOutput.ReadLine();
            Eventually.True(network.Server.HasListener, TimeSpan.FromSeconds(10));
            using var source = network.Client.Start([stream, "source", $"{LabNetwork.ServerAddress}", $"{Port}", $"{Seconds}"], capture: true);
            return Rate(source.StandardOutput.ReadToEnd());
        }
        finally
        {
            sink.Kill();
            forwarder.Kill();
        }
    }

    private static double InLab(string stream)
    {
        using var lab = ProgramRun.Simulator(
            "lab", "--expiry", "silent-drop", "--idle-timeout", "60s",
            "--server", $"{stream} sink {Port}", "--client", $"{stream} source $LAB_SERVER {Port} {Seconds}");
        return lab.WaitForExit(s_limit) == 0 ? Rate(lab.Output) : throw new InvalidOperationException(lab.Output + lab.Error);
    }

    private static double Rate(string output)
    {
        var words = output.Split('\n').Single(line => line.StartsWith("stream ", StringComparison.Ordinal)).Split(' ');
        return double.Parse(words[2], CultureInfo.InvariantCulture) / double.Parse(words[1], CultureInfo.InvariantCulture) * 1000;
    }
}
