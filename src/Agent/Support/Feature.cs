namespace Keepalive.Agent.Support;

/// <summary>What a probe of the kernel and the privileges came to.</summary>
internal enum Answer
{
    Yes,
    No,

    /// <summary>Something else is in the way, so that it cannot be told.</summary>
    Inconclusive,
}

/// <summary>One thing the agent can make use of.</summary>
/// <param name="Name">What it is.</param>
/// <param name="Use">What it is for.</param>
/// <param name="Answer">Whether it can be had.</param>
/// <param name="Needs">What it takes where the answer is no, <c>Linux 5.6</c> for example.</param>
/// <param name="Detail">What was found, or the reason.</param>
internal sealed record Feature(string Name, string Use, Answer Answer, string? Needs, string? Detail);
