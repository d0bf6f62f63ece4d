namespace Keepalive.Agent.Policies;

/// <summary>The state of the policies, for reports. Written by one thread, read by any.</summary>
internal sealed class PolicyFigures(TimeProvider time)
{
    private volatile Figures _now = new(0, 0, 0, default, 0, 0);

    public Figures Now => _now;

    /// <summary>Records that a set came into force.</summary>
    public void Loaded(int policies) => _now = _now with { InForce = policies, RefusedSets = 0, LoadedAt = time.GetUtcNow() };

    /// <summary>Records that a changed set was refused.</summary>
    public void Refused() => _now = _now with { RefusedSets = 1, Refusals = _now.Refusals + 1 };

    /// <summary>Records that files were read, and how many have errors.</summary>
    public void FilesRead(int broken) => _now = _now with { BrokenFiles = broken, Refusals = _now.Refusals + (broken > 0 ? 1 : 0) };

    /// <summary>Sets the number of refused objects of the cluster. Each is refused by itself: the other objects come into force.</summary>
    public void ObjectsRefused(int count)
    {
        if (count != _now.RefusedObjects)
        {
            _now = _now with { RefusedObjects = count };
        }
    }

    /// <param name="InForce">Policies in force.</param>
    /// <param name="RefusedSets">1 while the current files and objects are refused together, else 0.</param>
    /// <param name="BrokenFiles">Files with errors.</param>
    /// <param name="LoadedAt">When the policies in force were loaded.</param>
    /// <param name="Refusals">How often a changed set, or files in it, were refused.</param>
    /// <param name="RefusedObjects">Objects of the cluster whose current version is refused.</param>
    internal sealed record Figures(int InForce, int RefusedSets, int BrokenFiles, DateTimeOffset LoadedAt, long Refusals, int RefusedObjects);
}
