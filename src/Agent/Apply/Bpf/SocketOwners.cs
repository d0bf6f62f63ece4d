using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Finds the process that holds each TCP socket: by one walk of the kernel over all descriptors of the node.</summary>
internal static class SocketOwners
{
    public static readonly IReadOnlyDictionary<ulong, int> NotAskedFor = new Dictionary<ulong, int>();

    /// <summary>Returns process ids by socket cookie; if several processes hold a socket, the one found first. Empty if the kernel
    /// refuses the program.</summary>
    /// <exception cref="Linux.LinuxException">The kernel did not complete the run.</exception>
    public static IReadOnlyDictionary<ulong, int> Read(KernelPrograms kernel)
    {
        if (kernel.OwnerReader is null)
        {
            return NotAskedFor;
        }
        var visitor = new Visitor([]);
        using var run = kernel.OwnerReader.Begin();
        BpfIterator.Read<BpfAbi.ka_owner, Visitor>(run, ref visitor);
        return visitor.Owners;
    }

    private readonly struct Visitor(Dictionary<ulong, int> owners) : IBpfRecordVisitor<BpfAbi.ka_owner>
    {
        public Dictionary<ulong, int> Owners { get; } = owners;

        public void Visit(in BpfAbi.ka_owner record) => Owners.TryAdd(record.cookie, (int)record.pid);
    }
}
