using Keepalive.Linux;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>Plans in the order in which a walk over a namespace shows the sockets. The kernel's programs find each at the next place, and so without
/// a search and without a table of them: a third of the cost of a bulk.</summary>
/// <param name="kernel">The programs.</param>
internal sealed class PlanQueue(KernelPrograms kernel)
{
    /// <summary>The number of plans that it has room for.</summary>
    public const int Most = (int)BpfAbi.KA_MAX_QUEUED;

    private uint[] _places = [];
    private int _count;

    /// <summary>Adds plans behind those that are in it.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public void Add(ReadOnlySpan<BpfAbi.ka_queued> plans)
    {
        if (_places.Length < plans.Length)
        {
            _places = new uint[plans.Length];
        }
        for (var i = 0; i < plans.Length; i++)
        {
            _places[i] = (uint)(_count + i);
        }
        kernel.Queue.Update(_places.AsSpan(0, plans.Length), plans);
        _count += plans.Length;
    }

    /// <summary>Has the next walk carry them out.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public void Begin() => Set(_count);

    /// <summary>Empties it: no later walk carries them out.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public void End()
    {
        Set(0);
        _count = 0;
    }

    /// <summary>Empties it, if that is possible.</summary>
    public void Clear()
    {
        if (_count == 0)
        {
            return;
        }
        _count = 0;
        try
        {
            Set(0);
        }
        catch (LinuxException)
        {
            // A socket is changed only if it still has the values of its plan, and the plan is noted: as after a kill.
        }
    }

    private void Set(int count) => kernel.QueueState.Update(0u, new BpfAbi.ka_queue { count = (uint)count });
}
