using Keepalive.Agent.Liveness;
using Keepalive.Agent.Metrics;
using Keepalive.Config.Compilation;

namespace Keepalive.Agent.Running;

/// <summary>Removes the counts of policies that are no longer in force.</summary>
/// <remarks>The first pass under a changed policy may still count for the policy before. So counts are removed again, until after the
/// second pass.</remarks>
internal sealed class Retirement(SocketTally tally, LivenessMonitor liveness)
{
    private const int Rounds = 3;

    private CompiledPolicy? _inForce;
    private int _rounds;

    /// <summary>Begins after a policy came into force.</summary>
    public void Begin(CompiledPolicy inForce)
    {
        (_inForce, _rounds) = (inForce, Rounds);
        Continue();
    }

    /// <summary>Continues after a pass.</summary>
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
