namespace Keepalive.Agent.Liveness;

/// <summary>Told how long each probe waited for its reply. Called under the monitor's lock: it must not wait.</summary>
internal interface IRoundTripListener
{
    void Took(double seconds);
}
