namespace Keepalive.Agent.Capture;

/// <summary>A network namespace whose packets must be captured.</summary>
/// <param name="Inode">Its inode number.</param>
/// <param name="Scope">The mark of its packets.</param>
/// <param name="Version">A number that changes whenever the addresses or processes may have changed.</param>
/// <param name="Processes">Some processes that probably run there.</param>
/// <param name="Locals">The local addresses of its connections.</param>
/// <param name="Remotes">The remote addresses of its connections.</param>
internal sealed record CaptureDemand(
    ulong Inode, int Scope, long Version, IReadOnlyList<int> Processes, IReadOnlySet<UInt128> Locals, IReadOnlySet<UInt128> Remotes);
