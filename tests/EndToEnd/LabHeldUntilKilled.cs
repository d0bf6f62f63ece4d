using Keepalive.Testbed;

namespace Keepalive.EndToEnd;

/// <summary>A test run for a test that kills it: it holds one of each resource and never releases them.</summary>
internal static class LabHeldUntilKilled
{
    public const string Ready = "ready";

    public static int Run()
    {
        using var lab = new Lab();
        int port = lab.Server.Listen();
        lab.Client.Spawn(3, Lab.ServerAddress, port, 2);
        using var beside = lab.Client.StartBeside();
        using var program = new ProgramRun(["sleep", "300"], lab.Server);
        int[] processes = [lab.Client.Pid, lab.Server.Pid, beside.Pid, program.Pid, .. lab.Client.Children()];
        Console.WriteLine($"processes {string.Join(' ', processes)}");
        string mark = $"fd00{Guid.NewGuid():N}"[..32];
        foreach (var side in (Holder[])[lab.Client, lab.Server])
        {
            side.Run("ip", "address", "add", string.Join(':', mark.Chunk(4).Select(part => new string(part))), "dev", "lo");
        }
        Console.WriteLine($"mark {mark}");
        Console.WriteLine(Ready);
        Thread.Sleep(TimeSpan.FromMinutes(5));
        return 1;
    }
}
