using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using Keepalive.Agent.Log;
using Microsoft.Extensions.Hosting.Systemd;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Health;

/// <summary>Tells systemd how the service is, by the protocol of sd_notify(3); silent where nobody has asked for it.</summary>
internal sealed partial class ServiceManager
{
    private readonly ISystemdNotifier _notifier;
    private readonly ILogger _logger;
    private string _status = "";
    private bool _failed;

    /// <param name="notifier">Sends to the socket that NOTIFY_SOCKET names.</param>
    /// <param name="environment">Reads an environment variable.</param>
    /// <param name="logger">Told once when systemd cannot be reached.</param>
    public ServiceManager(ISystemdNotifier notifier, Func<string, string?> environment, ILogger logger)
    {
        (_notifier, _logger) = (notifier, logger);
        WatchdogInterval = Watchdog(environment);
    }

    /// <summary>How often to say that all is well: half of what systemd waits for it; null where it does not.</summary>
    public TimeSpan? WatchdogInterval { get; }

    public void Ready() => Send("READY=1");

    /// <summary>Type=notify-reload wants to know when, by the monotonic clock, so that it can tell this reload from an earlier one.</summary>
    public void Reloading() => Send(
        string.Create(CultureInfo.InvariantCulture, $"RELOADING=1\nMONOTONIC_USEC={Stopwatch.GetTimestamp() / (Stopwatch.Frequency / 1_000_000)}"));

    public void Stopping() => Send("STOPPING=1\nSTATUS=Stopping");

    public void Watchdog() => Send("WATCHDOG=1");

    /// <summary>One line for people (<c>systemctl status</c>); sent when it has changed.</summary>
    public void Status(string text)
    {
        if (text != _status)
        {
            _status = text;
            Send("STATUS=" + text.ReplaceLineEndings(" "));
        }
    }

    private static TimeSpan? Watchdog(Func<string, string?> environment)
    {
        var forUs = environment("WATCHDOG_PID") is not { Length: > 0 } pid || pid == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        return forUs && long.TryParse(environment("WATCHDOG_USEC"), CultureInfo.InvariantCulture, out var microseconds) && microseconds > 0
            ? TimeSpan.FromMicroseconds(microseconds / 2.0)
            : null;
    }

    private void Send(string text)
    {
        try
        {
            _notifier.Notify(new ServiceState(text));
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            if (!_failed)
            {
                _failed = true;
                LogFailed(e.Message);
            }
        }
    }

    [LoggerMessage(EventIds.NotifyFailed, LogLevel.Warning, "The service manager of NOTIFY_SOCKET cannot be notified: {Reason}")]
    private partial void LogFailed(string reason);
}
