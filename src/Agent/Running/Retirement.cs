using Keepalive.Agent.Liveness;
using Keepalive.Agent.Metrics;
using Keepalive.Config.Compilation;

namespace Keepalive.Agent.Running;

/// <summary>Ends the counts of policies that are no longer in force.</summary>
/// <remarks>What the first pass under a changed policy still counts may belong to the one before: counts end again until after the second.</remarks>
internal sealed class Retirement(SocketTally tally, LivenessMonitor liveness)
{
    private const int Rounds = 3;

    private CompiledPolicy? _inForce;
    private int _rounds;

    /// <summary>A policy came into force.</summary>
    public void Begin(CompiledPolicy inForce)
    {
        (_inForce, _rounds) = (inForce, Rounds);
        Continue();
    }

    /// <summary>A pass is over.</summary>
    public void Continue()
    {
        if (_rounds > 0 && _inForce is not null)
        {
            _rounds--;
            tally.Retain(_inForce);
            liveness.Retain(_inForce);
        }
    }
}
