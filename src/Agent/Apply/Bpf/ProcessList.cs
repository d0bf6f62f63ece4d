using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Which process lives in which network namespace: one walk of the kernel over its processes, and none over /proc.</summary>
internal sealed class ProcessList(BpfIterator reader)
{
    private readonly List<(int Pid, ulong Namespace)> _found = [];

    /// <summary>The processes there are; the list is used again by the next call.</summary>
    /// <exception cref="Linux.LinuxException">The kernel did not run it to its end.</exception>
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
