namespace Keepalive.Simulator.Discover;

/// <summary>How far a measurement is.</summary>
/// <param name="Doing">The current step; null if it waits for connections that become old enough.</param>
/// <param name="Left">About how long it still takes, if nothing unexpected happens.</param>
internal readonly record struct Outlook(string? Doing, TimeSpan Left);
