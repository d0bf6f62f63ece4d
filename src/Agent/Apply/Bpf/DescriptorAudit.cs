using Keepalive.Agent.Apply.Tracking;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Finds the namespaces in which an application has changed a socket's values, which nothing else shows. The kernel walks over
/// all descriptors of the node. A user can have millions of them, so a walk takes as many passes as it needs.</summary>
/// <param name="time">The clock.</param>
/// <param name="kernel">The programs.</param>
/// <param name="namespaces">The namespaces.</param>
internal sealed class DescriptorAudit(TimeProvider time, KernelPrograms kernel, NamespaceInventory namespaces) : IDisposable
{
    /// <summary>The time for the walk in one pass.</summary>
    private static readonly TimeSpan s_share = TimeSpan.FromMilliseconds(20);

    private BpfRun? _run;
    private long _begunAt = time.GetTimestamp();

    /// <summary>Continues the walk; a new one begins once in a period, unless passes have read all sockets meanwhile. It marks namespaces that
    /// this pass reads. If the kernel refuses the program, it marks all of them.</summary>
    public void Walk(PassContext pass)
    {
        if (pass.Scope.Full)
        {
            // A full pass reads all sockets.
            End();
            _begunAt = time.GetTimestamp();
            return;
        }
        if (_run is null && (time.GetElapsedTime(_begunAt) < NamespaceUpkeep.AuditPeriod || HaveAllBeenRead()))
        {
            return;
        }
        try
        {
            WalkOn(pass.Number);
        }
        catch (LinuxException)
        {
            // The walk is not available now: the next one tries again.
            End();
        }
    }

    public void Dispose() => End();

    /// <summary>Whether the passes have read all sockets within the period: there is nothing to find then.</summary>
    private bool HaveAllBeenRead()
    {
        foreach (var watched in namespaces.Watched)
        {
            if (watched.Sockets.Count > 0 && time.GetElapsedTime(watched.DumpedAt) >= NamespaceUpkeep.AuditPeriod)
            {
                return false;
            }
        }
        return true;
    }

    private void WalkOn(long pass)
    {
        if (_run is null)
        {
            _begunAt = time.GetTimestamp();
            if (kernel.OwnerReader is null)
            {
                foreach (var watched in namespaces.Watched)
                {
                    watched.NextTry = pass;
                }
                return;
            }
            _run = kernel.OwnerReader.Begin();
        }
        var visitor = new Visitor(namespaces, pass);
        if (BpfIterator.Read<BpfAbi.ka_owner, Visitor>(_run, s_share, ref visitor))
        {
            End();
        }
    }

    private void End()
    {
        _run?.Dispose();
        _run = null;
    }

    private readonly struct Visitor(NamespaceInventory namespaces, long pass) : IBpfRecordVisitor<BpfAbi.ka_owner>
    {
        public void Visit(in BpfAbi.ka_owner record)
        {
            if (namespaces.Find(record.netns) is { } watched && watched.Sockets.TryGetValue(record.cookie, out var socket)
                && !socket.Standing.IsUnsettled
                && (socket.Standing.Current != record.values.ToOptions() || (socket.Standing.UserTimeout is { } known && known != (int)record.values.user_timeout)))
            {
                watched.NextTry = pass;
            }
        }
    }
}
