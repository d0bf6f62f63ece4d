namespace Keepalive.Agent.Liveness;

/// <summary>Receives the time from each probe to its reply. Called under the monitor's lock: it must not wait.</summary>
internal interface IRoundTripListener
{
    void Took(double seconds);
}
