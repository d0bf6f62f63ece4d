using Keepalive.Agent.Apply;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Tests.Apply;

namespace Keepalive.Agent.Tests.Liveness;

/// <summary>A datapath that notes nothing, for tests of the receivers of its records.</summary>
internal sealed class DatapathOnly(string netns) : IDisposable
{
    public IDatapath Datapath { get; } = Datapaths.Pidfd([netns], [], state: null);

    public void Pass(PolicySnapshot policy, LivenessWatch watch)
    {
        Datapath.Pass(policy, new PassScope { Full = true, Timers = watch.NeedsTimers }, watch.Monitor);
        watch.Follow(policy);
    }

    public void Dispose() => Datapath.Dispose();
}
