namespace Keepalive.Agent.Top;

/// <summary>The connections that are listed one by one: those of a workload, or those to a destination.</summary>
internal readonly record struct Focus(string? Workload, string? Destination)
{
    public bool Matches(string workload, string destination) =>
        (Workload is null || Workload == workload) && (Destination is null || Destination == destination);
}
