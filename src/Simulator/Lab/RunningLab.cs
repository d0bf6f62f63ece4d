using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>The lab's network with a balancer at work in it.</summary>
internal sealed class RunningLab : IDisposable
{
    private readonly long _began = TimeProvider.System.GetTimestamp();
    private Forwarder? _forwarder;

    private RunningLab(LabNetwork network) => Network = network;

    public LabNetwork Network { get; }

    /// <summary>Since it began.</summary>
    public TimeSpan Elapsed => TimeProvider.System.GetElapsedTime(_began);

    /// <summary>Makes the network; nothing is carried yet.</summary>
    public static RunningLab Create() => new(LabNetwork.Create());

    /// <summary>Puts a balancer in the middle, in place of the one that is there.</summary>
    /// <param name="rule">The balancer's rule.</param>
    /// <param name="tell">Called for each event, on another thread; must not take long.</param>
    /// <param name="failed">Called when it cannot go on.</param>
    /// <param name="log">Where every frame is written to; belongs to the lab from now on.</param>
    /// <param name="recorder">Takes every packet with its fate, and the events; null for none.</param>
    public void Balance(BalancerRule rule, Action<LabEvent> tell, Action<Exception> failed, FrameLog? log = null, PacketRecorder? recorder = null)
    {
        _forwarder?.Dispose();
        var (client, server) = Network.Open();
        _forwarder = new Forwarder(client, server, rule, _began, log, recorder is null ? tell : RecordAndTell, failed, recorder);
        _forwarder.Start();

        void RecordAndTell(LabEvent what)
        {
            recorder.Happened(what);
            tell(what);
        }
    }

    /// <summary>Stops carrying frames, and says what there was; null where there is no balancer yet.</summary>
    public (LabSummary Summary, string? LogFailure)? Stop()
    {
        if (_forwarder is not { } forwarder)
        {
            return null;
        }
        forwarder.Dispose();
        return (new LabSummary(Elapsed, forwarder.Balancer.Totals, forwarder.Frames, forwarder.Lost, forwarder.Overrun), forwarder.LogFailure);
    }

    public void Dispose()
    {
        _forwarder?.Dispose();
        Network.Dispose();
    }
}
