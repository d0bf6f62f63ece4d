namespace Keepalive.Config.Resources;

/// <summary>A resource that sets keepalive on what it selects.</summary>
public abstract record Policy : Resource
{
    /// <summary>
    /// Its name in rules: <c>namespace/name</c> for a ConnectionPolicy, with the kind in front of it for others.
    /// </summary>
    public virtual string RuleName => $"{Kind}/{QualifiedName}";
}
