using Keepalive.Agent.Log;
using Keepalive.Agent.Support;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Running;

/// <summary>Whether to capture packets: if asked for, and by default if it is possible.</summary>
/// <param name="isWanted">Whether to capture packets.</param>
/// <param name="whyNot">Why they cannot be captured although they should be; null if they can.</param>
internal sealed partial class CaptureChoice(bool isWanted, string? whyNot)
{
    public bool IsWanted { get; } = isWanted;

    public string? WhyNot { get; } = whyNot;

    public bool Captures => IsWanted && WhyNot is null;

    /// <param name="options">The options of the capture.</param>
    /// <param name="logger">Receives the reason if capturing is not possible.</param>
    public static CaptureChoice Make(CaptureOptions options, ILogger logger)
    {
        if (options.Asked == false)
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
