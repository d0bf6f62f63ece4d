namespace Keepalive.Config;

/// <summary>The treatment of a socket whose application enabled keepalive itself.</summary>
public enum ExistingMode
{
    /// <summary>Replace its values only if the policy would probe earlier.</summary>
    Tighten,

    /// <summary>Leave it as it is.</summary>
    Keep,

    /// <summary>Always set the policy's values.</summary>
    Replace,
}
