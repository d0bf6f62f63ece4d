namespace Keepalive.Agent.Policies;

/// <summary>How the policies stand, for those who report it. Written by one thread, read by any.</summary>
internal sealed class PolicyFigures(TimeProvider time)
{
    private volatile Figures _now = new(0, 0, default, 0, 0);

    public Figures Now => _now;

    /// <summary>A set came into force.</summary>
    public void Loaded(int policies) => _now = _now with { InForce = policies, RefusedSets = 0, LoadedAt = time.GetUtcNow() };

    /// <summary>A changed set was refused.</summary>
    public void Refused() => _now = _now with { RefusedSets = 1, Refusals = _now.Refusals + 1 };

    /// <summary>Sets how many objects of the cluster are refused. Each is refused alone: the others of the set come into force.</summary>
    public void ObjectsRefused(int count)
    {
        if (count != _now.RefusedObjects)
        {
            _now = _now with { RefusedObjects = count };
        }
    }

    /// <param name="InForce">Policies in force.</param>
    /// <param name="RefusedSets">1 as long as the files as they are now are refused.</param>
    /// <param name="LoadedAt">When the policies in force were loaded.</param>
    /// <param name="Refusals">How often a changed set was refused.</param>
    /// <param name="RefusedObjects">Objects of the cluster that are refused as they are now.</param>
    internal sealed record Figures(int InForce, int RefusedSets, DateTimeOffset LoadedAt, long Refusals, int RefusedObjects);
}
