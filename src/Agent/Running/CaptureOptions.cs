namespace Keepalive.Agent.Running;

/// <summary>The options of the capture.</summary>
/// <param name="Asked">Whether to capture probes; null if not given.</param>
internal sealed record CaptureOptions(bool? Asked);
