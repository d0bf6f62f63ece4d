using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Keepalive.Config;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;
using Keepalive.Simulator.Scenarios;

namespace Keepalive.Simulator.Tests.Virtual;

/// <summary>The actions of one connection's client, its kernel and the balancer, in either engine; the answers in order.</summary>
internal sealed record Outcome(
    string Codes, long Expiries, long ResetsToClient, long ResetsToServer, long Fins, long ClientProbes, long ServerProbes, long EndedIdle, long KeepaliveDeaths, long Revived);

/// <summary>A scenario with one client and one connection on real network stacks: the same file, the same rule, the kernel's own
/// timers.</summary>
internal sealed class LiveRun : IDisposable
{
    private const int Port = 8080;
    private const int Microseconds = 1000;

    private readonly Scenario _scenario;
    private readonly RunningLab _lab = RunningLab.Create();
    private readonly ConcurrentQueue<LabEvent> _events = new();
    private readonly ConcurrentBag<Socket> _accepted = [];
    private readonly Socket _listener;
    private readonly Stopwatch _clock = new();
    private readonly Queue<Failure> _outages;
    private readonly List<int> _codes = [];
    private readonly byte[] _buffer = new byte[1];
    private Exception? _failure;
    private Socket? _client;
    private long _endedIdle;
    private long _deaths;

    private LiveRun(Scenario scenario)
    {
        _scenario = scenario;
        _outages = new Queue<Failure>(scenario.Failures.OrderBy(failure => failure.At));
        _listener = _lab.Network.Server.Run(() =>
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.Any, Port));
            socket.Listen();
            return socket;
        });
        _lab.Balance(scenario.Rule, _events.Enqueue, failure => _failure = failure);
    }

    /// <summary>Runs it in real time.</summary>
    public static Outcome Of(Scenario scenario)
    {
        using var run = new LiveRun(scenario);
        var server = new Thread(run.Serve) { IsBackground = true };
        server.Start();
        return run.Execute();
    }

    public void Dispose()
    {
        _client?.Dispose();
        _listener.Dispose();
        foreach (var socket in _accepted)
        {
            socket.Dispose();
        }
        _lab.Dispose();
    }

    private Outcome Execute()
    {
        Open();
        _clock.Start();
        foreach (var at in ((TraceArrival)_scenario.Requests).Times[0])
        {
            Idle(at);
            _codes.Add(Request(_scenario.Retries));
        }
        Idle(_scenario.Duration);
        var (summary, _) = _lab.Stop()!.Value;
        if (_failure is not null)
        {
            throw new InvalidOperationException("the lab failed", _failure);
        }
        // A reset that the client does not accept immediately is sent again, so connections are counted.
        long Resets(FlowEnd end) => _events.Where(one => one.Kind == LabEventKind.Reset && one.End == end).Select(one => one.Flow).Distinct().Count();
        return new Outcome(
            string.Join(' ', _codes), summary.Totals.Expired, Resets(FlowEnd.Client), Resets(FlowEnd.Server), summary.Totals.Fins,
            Probes(_lab.Network.Client), Probes(_lab.Network.Server), _endedIdle, _deaths + Counter(_lab.Network.Server, "TCPAbortOnTimeout"), summary.Totals.Revived);
    }

    /// <summary>Probes that one side's kernel has sent, including those that the balancer dropped.</summary>
    private static long Probes(LabSide side) => Counter(side, "TCPKeepAlive");

    private static long Counter(LabSide side, string name) => side.Run(() =>
    {
        var lines = File.ReadLines("/proc/thread-self/net/netstat").Where(line => line.StartsWith("TcpExt:", StringComparison.Ordinal)).Select(line => line.Split(' ')).ToList();
        return long.Parse(lines[1][Array.IndexOf(lines[0], name)], CultureInfo.InvariantCulture);
    });

    private void Open()
    {
        _client?.Dispose();
        _client = _lab.Network.Client.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
        Set(_client, _scenario.Keepalive);
        var connecting = _client.ConnectAsync(new IPEndPoint(LabNetwork.ServerAddress, Port));
        if (!connecting.Wait(_scenario.ConnectTimeout))
        {
            _client.Dispose();
            _client = null;
        }
    }

    /// <summary>Waits, and records events of the connection meanwhile.</summary>
    private void Idle(TimeSpan until)
    {
        while (IsReadable(until))
        {
            _endedIdle++;
            try
            {
                _client!.Receive(_buffer);
            }
            catch (SocketException e)
            {
                _deaths += e.SocketErrorCode == SocketError.TimedOut ? 1 : 0;
            }
            Open();
        }
    }

    /// <summary>Waits until the client's socket is readable; endpoints fail meanwhile.</summary>
    private bool IsReadable(TimeSpan until)
    {
        while (until - _clock.Elapsed is { Ticks: > 0 } left)
        {
            if (_outages.TryPeek(out var outage) && _clock.Elapsed >= outage.At)
            {
                _outages.Dequeue();
                _lab.Network.Server.RunShell($"{Tool.Find(Tool.Ip)} address del {LabNetwork.ServerAddress}/32 dev {LabNetwork.ServerLink}");
            }
            if (_outages.TryPeek(out outage) && outage.At - _clock.Elapsed < left)
            {
                left = outage.At!.Value - _clock.Elapsed;
            }
            if (_client is null)
            {
                Thread.CurrentThread.Join(left > TimeSpan.Zero ? left : TimeSpan.Zero);
            }
            else if (_client.Poll(Math.Max(0, (int)left.TotalMilliseconds) * Microseconds, SelectMode.SelectRead))
            {
                return true;
            }
        }
        return false;
    }

    private int Request(int retries)
    {
        try
        {
            _client!.Send(_buffer);
            if (!IsReadable(_clock.Elapsed + _scenario.RequestTimeout))
            {
                // The request has timed out: a reset discards the unsent data.
                _client.LingerState = new LingerOption(true, 0);
                Open();
                return 504;
            }
            if (_client.Receive(_buffer) > 0)
            {
                return 200;
            }
        }
        catch (SocketException e)
        {
            // A reset, or unanswered probes while it waited. Handled below.
            _deaths += e.SocketErrorCode == SocketError.TimedOut ? 1 : 0;
        }
        Open();
        return retries > 0 ? Request(retries - 1) : 503;
    }

    private void Serve()
    {
        try
        {
            for (; ; )
            {
                var socket = _listener.Accept();
                _accepted.Add(socket);
                Set(socket, _scenario.ServerKeepalive);
                _ = EchoAsync(socket, ((FixedService?)_scenario.ServiceTime)?.Time ?? TimeSpan.Zero);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The run has ended.
        }
    }

    private static async Task EchoAsync(Socket socket, TimeSpan serviceTime)
    {
        var buffer = new byte[16];
        try
        {
            while (await socket.ReceiveAsync(buffer) is > 0 and var count)
            {
                await Task.Delay(serviceTime, TimeProvider.System);
                await socket.SendAsync(buffer.AsMemory(0, count));
            }
            socket.Dispose();
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            socket.Dispose();
        }
    }

    private static void Set(Socket socket, KeepaliveSettings? keepalive)
    {
        if (keepalive is { } settings)
        {
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, settings.Interval!.Value);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, settings.Probes!.Value);
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, settings.Time!.Value);
        }
    }
}
