using System.Globalization;
using Keepalive.Testbed;

namespace Keepalive.Benchmarks;

/// <summary>peer.c, compiled. It measures the kernel's part of the cost on this machine now.</summary>
internal sealed class Peer
{
    private readonly string _binary = CProgram.Build("peer");

    /// <summary>Runs a program in a holder's namespace and writes its output to a file.</summary>
    public Cost Run(Holder inside, params string[] command)
    {
        var numbers = Ask(inside, ["run", Path.Combine(Workspace.Directory, "output"), .. command]);
        return new Cost(TimeSpan.FromMicroseconds(numbers[0] / 1000.0), TimeSpan.FromMicroseconds(numbers[1]));
    }

    /// <summary>A dump with struct tcp_info; returns its time and the number of sockets.</summary>
    public (TimeSpan Took, int Sockets) Dump(Holder inside) => Timed(Ask(inside, "dump"));

    /// <summary>Reads four options of each socket in a range of a process's descriptors; returns the time per socket.</summary>
    public TimeSpan Read(Holder owner, int first, int last) => Walk("read", owner, first, last);

    /// <summary>Reads four options, writes four and reads them again; returns the time per socket.</summary>
    public TimeSpan Set(Holder owner, int first, int last) => Walk("set", owner, first, last);

    /// <summary>The same, and asks before each write what the agent asks; returns the time per socket.</summary>
    public TimeSpan SetWithChecks(Holder owner, int first, int last) => Walk("checked", owner, first, last);

    private TimeSpan Walk(string verb, Holder owner, int first, int last)
    {
        var (took, sockets) = Timed(Ask(owner, verb, Text(owner.Pid), Text(first), Text(last)));
        return took / sockets;
    }

    private static (TimeSpan Took, int Count) Timed(long[] numbers) => (TimeSpan.FromMicroseconds(numbers[0] / 1000.0), (int)numbers[1]);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private long[] Ask(Holder inside, params string[] arguments) =>
        [.. inside.Run([_binary, .. arguments]).Output.Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries)
            .Select(word => long.Parse(word, CultureInfo.InvariantCulture))];
}
