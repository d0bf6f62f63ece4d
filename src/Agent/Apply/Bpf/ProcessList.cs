using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Lists the processes and their network namespaces: by one walk of the kernel over its processes, without /proc.</summary>
internal sealed class ProcessList(BpfIterator reader)
{
    private readonly List<(int Pid, ulong Namespace)> _found = [];

    /// <summary>Returns the processes; the next call uses the list again.</summary>
    /// <exception cref="Linux.LinuxException">The kernel did not complete the run.</exception>
    public IReadOnlyList<(int Pid, ulong Namespace)> Read()
    {
        _found.Clear();
        var visitor = new Visitor(_found);
        using var run = reader.Begin();
        BpfIterator.Read<BpfAbi.ka_process, Visitor>(run, ref visitor);
        return _found;
    }

    private readonly struct Visitor(List<(int Pid, ulong Namespace)> found) : IBpfRecordVisitor<BpfAbi.ka_process>
    {
        public void Visit(in BpfAbi.ka_process record) => found.Add(((int)record.pid, record.netns));
    }
}
