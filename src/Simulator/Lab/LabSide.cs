using System.Diagnostics;
using System.Net.Sockets;
using Keepalive.Linux.Namespaces;

namespace Keepalive.Simulator.Lab;

/// <summary>One side of the lab: a network namespace and what is started in it.</summary>
internal sealed class LabSide(string name, NewNetworkNamespace space) : IDisposable
{
    private static readonly string[] s_socketTables = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];

    private static readonly Dictionary<string, string> s_addresses = new()
    {
        ["LAB_SERVER"] = LabNetwork.ServerAddress.ToString(),
        ["LAB_CLIENT"] = LabNetwork.ClientAddress.ToString(),
        ["LAB_SERVER6"] = Socket.OSSupportsIPv6 ? LabNetwork.ServerAddress6.ToString() : "",
        ["LAB_CLIENT6"] = Socket.OSSupportsIPv6 ? LabNetwork.ClientAddress6.ToString() : "",
    };

    public string Name { get; } = name;

    /// <summary>A file that setns(2) takes.</summary>
    public string NamespacePath => space.Path;

    /// <summary>Runs <paramref name="work"/> on a thread inside.</summary>
    public T Run<T>(Func<T> work) => space.Run(work);

    /// <summary>Starts a process inside, which gets an empty standard input and knows the lab's addresses from its environment.</summary>
    /// <param name="command">Its command line.</param>
    /// <param name="capture">Whether its output is read here; otherwise it goes where this process's own goes.</param>
    public Process Start(IReadOnlyList<string> command, bool capture) => Run(() => Tool.Start(command, s_addresses, capture: capture));

    /// <summary>Runs commands of sh(1) inside, in /proc/sys/net; every one must succeed.</summary>
    public void RunShell(string commands) => RunShell(space, commands);

    /// <summary>Runs commands of sh(1) in a namespace, in /proc/sys/net; every one must succeed.</summary>
    public static void RunShell(NewNetworkNamespace space, string commands)
    {
        var result = space.Run(() => Tool.Run(Tool.Command(Tool.Shell, "-euc", commands), directory: "/proc/sys/net"));
        if (result.ExitCode != 0)
        {
            throw new LabException($"the lab's network cannot be set up: {result.Error.Trim()}\n{commands}");
        }
    }

    /// <summary>Whether any TCP socket listens in there.</summary>
    public bool HasListener() => Run(() => s_socketTables.Any(HasListener));

    public void Dispose() => space.Dispose();

    private static bool HasListener(string table)
    {
        const int stateColumn = 3;
        const string listen = "0A";
        return File.Exists(table) && File.ReadLines(table).Skip(1)
            .Any(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is { Length: > stateColumn } columns && columns[stateColumn] == listen);
    }
}
