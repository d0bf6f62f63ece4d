namespace Keepalive.Simulator.Lab;

/// <summary>The lab could not be set up, or something in it did not answer.</summary>
internal sealed class LabException(string message) : Exception(message);
