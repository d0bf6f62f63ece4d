namespace Keepalive.Config;

/// <summary>How much a <see cref="Diagnostic"/> matters.</summary>
public enum Severity
{
    /// <summary>Worth knowing; nothing needs to change.</summary>
    Note,

    /// <summary>Accepted, but probably not what its writer wants.</summary>
    Warning,

    /// <summary>Wrong: the resource it is in is not enforced.</summary>
    Error,
}
