using Keepalive.Agent.Log;
using Keepalive.Agent.Support;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Running;

/// <summary>Whether to capture: if asked for, and, where nothing was said, if it can be done.</summary>
/// <param name="isWanted">Whether packets are to be captured.</param>
/// <param name="whyNot">Why they cannot be though they are to be; null where they can.</param>
internal sealed partial class CaptureChoice(bool isWanted, string? whyNot)
{
    public bool IsWanted { get; } = isWanted;

    public string? WhyNot { get; } = whyNot;

    public bool Captures => IsWanted && WhyNot is null;

    /// <param name="asked">What was asked for; null where nothing was said.</param>
    /// <param name="logger">Told where it cannot be done.</param>
    public static CaptureChoice Make(bool? asked, ILogger logger)
    {
        if (asked == false)
        {
            return new CaptureChoice(false, null);
        }
        var missing = CapturePrivileges.Missing();
        if (missing is not null)
        {
            LogNoCapture(logger, missing);
        }
        return new CaptureChoice(true, missing);
    }

    [LoggerMessage(EventIds.CaptureUnavailable, LogLevel.Warning,
        "Packet capture is unavailable: {Missing} Liveness uses kernel timers until then. Use --capture off to silence this warning")]
    private static partial void LogNoCapture(ILogger logger, string missing);
}
