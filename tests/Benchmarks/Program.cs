using System.Globalization;
using Keepalive.Benchmarks;
using Keepalive.Testbed;

const string usage = """
    usage: make bench ARGS="[sockets] [apply] [large] [node] [service] [connect] [classify] [traffic] [forward] [policies] [kubernetes] [virtual] [--seconds N] [--connections] [--listen ADDR:PORT]"

    sockets        60,000 sockets in one namespace: a pass with nothing to do, beside ss
    apply          setting 15,000 sockets for the first time, beside the same system calls in C
    large          100,000 managed connections in one namespace: passes, scrapes and memory, and how they grow
    node           200 namespaces, 2,000 processes, 10,000 managed sockets: what the running agent uses
      --seconds N            how long it is watched (default 180)
      --connections          the process of 18,000 descriptors has connections, not files
      --listen ADDR:PORT     where the agent serves its metrics, which are asked for every 15 seconds (default 127.0.0.1:29464), or none
    service        5,000 endpoints that come and go, 50 at a time: series and memory
    connect        connecting with and without the bpf datapath's programs, pairwise
    classify       finding every probe in a capture of a million packets, beside tshark and tcpdump
    traffic        one TCP stream that no policy selects, with and without the agent
    forward        one TCP stream through the lab's balancer, beside a program in C that only carries frames
    policies       10,000 destinations and 200 policies: compiling them, and matching connections against them
    kubernetes     5,000 Services with 50,000 endpoints and 100 updates a second: what the agent uses (--seconds as for node)
    virtual        the simulator's virtual engine: a million connections for a day, and its events beside a bare priority queue
    Without a name, all of them. A missed goal is a result; the exit code is 0 whenever it could be measured.
    """;

string[] names =
[
    SocketsScenario.Name, ApplyScenario.Name, LargeScenario.Name, NodeScenario.Name, ServiceScenario.Name, ConnectScenario.Name, ClassifyScenario.Name, TrafficScenario.Name, ForwardScenario.Name,
    PoliciesScenario.Name, KubernetesScenario.Name, VirtualScenario.Name,
];
var inside = args is [Workspace.Inside, ..];
var wanted = new List<string>();
var options = new List<string>();
var (seconds, connections, listen) = (180, false, "127.0.0.1:29464");
for (var i = inside ? 1 : 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case var name when names.Contains(name):
            wanted.Add(name);
            continue;
        case "--seconds" when i + 1 < args.Length && int.TryParse(args[i + 1], CultureInfo.InvariantCulture, out seconds) && seconds is > 0 and <= 86400:
            options.AddRange(args[i], args[++i]);
            continue;
        case "--connections":
            connections = true;
            options.Add(args[i]);
            continue;
        case "--listen" when i + 1 < args.Length:
            listen = args[i + 1];
            options.AddRange(args[i], args[++i]);
            continue;
        case "--help" or "-h":
            Console.WriteLine(usage);
            return 0;
    }
    Console.Error.WriteLine($"bench: {args[i]} is not understood\n{usage}");
    return 2;
}

if (inside)
{
    try
    {
        switch (wanted[0])
        {
            case SocketsScenario.Name:
                SocketsScenario.Run();
                break;
            case ApplyScenario.Name:
                ApplyScenario.Run();
                break;
            case LargeScenario.Name:
                LargeScenario.Run();
                break;
            case ConnectScenario.Name:
                ConnectScenario.Run();
                break;
            case ClassifyScenario.Name:
                ClassifyScenario.Run();
                break;
            case TrafficScenario.Name:
                TrafficScenario.Run();
                break;
            case NodeScenario.Name:
                NodeScenario.Run(TimeSpan.FromSeconds(seconds), connections, listen);
                break;
            case ServiceScenario.Name:
                ServiceScenario.Run();
                break;
            case ForwardScenario.Name:
                ForwardScenario.Run();
                break;
            case PoliciesScenario.Name:
                PoliciesScenario.Run();
                break;
            case KubernetesScenario.Name:
                KubernetesScenario.Run(TimeSpan.FromSeconds(seconds));
                break;
            case VirtualScenario.Name:
                VirtualScenario.Run();
                break;
        }
        return 0;
    }
    catch (Exception e)
    {
        Console.Error.WriteLine($"bench: {wanted[0]} could not be measured: {e}");
        return 1;
    }
}

if (LiveSupport.Missing("mount") is { } missing)
{
    Console.Error.WriteLine($"bench: nothing can be measured here: {missing}");
    return 1;
}
Console.WriteLine($"Median (least–most). {Environment.ProcessorCount} cores, load {File.ReadAllText("/proc/loadavg").Split(' ')[0]}, Linux {File.ReadAllText("/proc/sys/kernel/osrelease").Trim()}");
var failures = 0;
foreach (var name in wanted.Count > 0 ? wanted : [.. names])
{
    failures += Workspace.Run([name, .. options], TimeSpan.FromSeconds(300 + (4 * seconds))) == 0 ? 0 : 1;
}
return failures == 0 ? 0 : 1;
