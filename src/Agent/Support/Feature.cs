namespace Keepalive.Agent.Support;

/// <summary>The result of a probe of the kernel and the privileges.</summary>
internal enum Answer
{
    Yes,
    No,

    /// <summary>Another obstacle made the probe inconclusive.</summary>
    Inconclusive,
}

/// <summary>One thing the agent can make use of.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Use">Its use.</param>
/// <param name="Answer">Whether it is available.</param>
/// <param name="Needs">How to enable it if the answer is no, <c>Linux 5.6</c> for example.</param>
/// <param name="Detail">The finding, or the reason.</param>
internal sealed record Feature(string Name, string Use, Answer Answer, string? Needs, string? Detail);
