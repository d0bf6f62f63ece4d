using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Keepalive.Agent.Log;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Health;

/// <summary>Tells systemd how the service is, by the protocol of sd_notify(3); silent where nobody has asked for it.</summary>
/// <remarks>A datagram to the socket that NOTIFY_SOCKET names, one <c>KEY=value</c> a line. A name that begins with @ is in the abstract
/// namespace.</remarks>
internal sealed partial class SystemdNotifier : IDisposable
{
    private readonly Socket? _socket;
    private readonly UnixDomainSocketEndPoint? _to;
    private readonly ILogger _logger;
    private string _status = "";
    private bool _failed;

    /// <param name="environment">Reads an environment variable.</param>
    /// <param name="logger">Told once when systemd cannot be reached.</param>
    public SystemdNotifier(Func<string, string?> environment, ILogger logger)
    {
        _logger = logger;
        WatchdogInterval = Watchdog(environment);
        if (environment("NOTIFY_SOCKET") is not { Length: > 1 } name)
        {
            return;
        }
        if (name[0] is not ('/' or '@'))
        {
            LogFailed($"{name} is neither a path nor an abstract name");
            return;
        }
        try
        {
            _to = new UnixDomainSocketEndPoint(name[0] == '@' ? "\0" + name[1..] : name);
            _socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { SendTimeout = 1000 };
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            LogFailed(e.Message);
        }
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

    public void Dispose() => _socket?.Dispose();

    private static TimeSpan? Watchdog(Func<string, string?> environment)
    {
        var forUs = environment("WATCHDOG_PID") is not { Length: > 0 } pid || pid == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        return forUs && long.TryParse(environment("WATCHDOG_USEC"), CultureInfo.InvariantCulture, out var microseconds) && microseconds > 0
            ? TimeSpan.FromMicroseconds(microseconds / 2.0)
            : null;
    }

    private void Send(string text)
    {
        if (_socket is null)
        {
            return;
        }
        try
        {
            lock (_socket)
            {
                _socket.SendTo(Encoding.UTF8.GetBytes(text), _to!);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            if (!_failed)
            {
                _failed = true;
                LogFailed(e.Message);
            }
        }
    }

    [LoggerMessage(EventIds.NotifyFailed, LogLevel.Warning, "The service manager named by NOTIFY_SOCKET cannot be told how the agent is: {Reason}")]
    private partial void LogFailed(string reason);
}
