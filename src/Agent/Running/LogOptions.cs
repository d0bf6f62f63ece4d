using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Running;

/// <summary>The options of the log.</summary>
/// <param name="Json">Whether lines are JSON.</param>
/// <param name="Level">The lowest level that is logged.</param>
internal sealed record LogOptions(bool Json, LogLevel Level);
