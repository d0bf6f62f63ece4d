namespace Keepalive.Agent.Capture;

/// <summary>A namespace whose packets are wanted.</summary>
/// <param name="Inode">Its inode number.</param>
/// <param name="Scope">What its packets are to be marked with.</param>
/// <param name="Version">Differs when anything here may.</param>
/// <param name="Processes">Some processes that probably live there.</param>
/// <param name="Locals">The addresses its connections have there.</param>
/// <param name="Remotes">Those they are connected to.</param>
internal sealed record CaptureDemand(
    ulong Inode, int Scope, long Version, IReadOnlyList<int> Processes, IReadOnlySet<UInt128> Locals, IReadOnlySet<UInt128> Remotes);
