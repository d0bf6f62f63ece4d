using Keepalive.Linux.Packets;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Lab;

/// <summary>Carries frames between two interfaces, through the balancer, on a thread of its own.</summary>
internal sealed class Forwarder : IDisposable
{
    private const int Batch = PacketRing.Batch;

    /// <summary>Batches after which timers are looked at, however busy it is.</summary>
    private const int BusyRounds = 16;

    /// <summary>Most batches carried after the request to stop.</summary>
    private const int LastRounds = 1_000;

    /// <summary>How soon it notices that it is to stop, ms.</summary>
    private const int MaxWait = 50;

    private readonly PacketRing _client;
    private readonly PacketRing _server;
    private readonly FrameLog? _log;
    private readonly PacketRecorder? _recorder;
    private readonly Func<LabFlowKey, TimeSpan?> _deadline;
    private readonly Queue<(FlowEnd To, byte[] Frame, long Time)> _forged = new();
    private readonly Thread _thread;
    private readonly Action<Exception> _failed;
    private readonly long _began;
    private volatile bool _stopping;
    private TimeSpan _now;
    private long _overrun;
    private long _tooLong;

    /// <summary>Prepares one.</summary>
    /// <param name="client">The interface towards the client.</param>
    /// <param name="server">The interface towards the server.</param>
    /// <param name="rule">The balancer's rule.</param>
    /// <param name="began">When its clock began, by <see cref="TimeProvider.GetTimestamp"/> of the system's clock.</param>
    /// <param name="log">Where every frame is written to; null for nowhere. It belongs to the forwarder from now on.</param>
    /// <param name="tell">Called for each event, on its thread, and must not take long.</param>
    /// <param name="failed">Called when it cannot go on.</param>
    /// <param name="recorder">Takes every packet with its fate; null for none.</param>
    public Forwarder(
        PacketRing client, PacketRing server, BalancerRule rule, long began, FrameLog? log, Action<LabEvent> tell, Action<Exception> failed,
        PacketRecorder? recorder = null)
    {
        (_client, _server, _log, _recorder, _began, _failed) = (client, server, log, recorder, began, failed);
        Balancer = new IdleBalancer(rule, SendForged, tell);
        _deadline = Balancer.DeadlineOf;
        _thread = new Thread(Run) { IsBackground = true, Name = "forwarder", Priority = ThreadPriority.Highest };
    }

    /// <summary>To be looked into when it has stopped.</summary>
    public IdleBalancer Balancer { get; }

    /// <summary>Frames that came in.</summary>
    public long Frames { get; private set; }

    /// <summary>Frames that neither were forwarded nor swallowed by rule: the ring was full, the frame too long or too short for a wire.</summary>
    public long Lost => _client.NotSent + _server.NotSent + _overrun + _tooLong;

    /// <summary>Those of them that came faster than they were carried.</summary>
    public long Overrun => _overrun;

    /// <summary>Why the capture file was given up, or null.</summary>
    public string? LogFailure => _log?.Failure;

    private TimeSpan Now => TimeProvider.System.GetElapsedTime(_began);

    public void Start() => _thread.Start();

    /// <summary>Stops it after the frames that have come already, and completes the capture file.</summary>
    public void Dispose()
    {
        if (!_stopping)
        {
            _stopping = true;
            if (_thread.IsAlive)
            {
                _thread.Join();
            }
            _overrun += _client.TakeDropped() + _server.TakeDropped();
            _log?.Dispose();
            _client.Dispose();
            _server.Dispose();
        }
    }

    private void Run()
    {
        try
        {
            for (int rounds = 0, last = 0; ;)
            {
                var stop = _stopping;
                last += stop ? 1 : 0;
                var before = Now;
                var moved = Move(FlowEnd.Client, _client, _server) + Move(FlowEnd.Server, _server, _client);
                if (moved > 0 && ++rounds < BusyRounds)
                {
                    continue;
                }
                rounds = 0;
                // Only now, and only up to when the frames were looked for: one that was in time must not find its connection expired.
                if (moved == 0 && before > _now)
                {
                    _now = before;
                }
                Balancer.Expire(_now);
                LogForged();
                Flush();
                if (stop && (moved == 0 || last > LastRounds))
                {
                    return;
                }
                if (moved == 0)
                {
                    _log?.Flush();
                    PacketRing.Wait(_client, _server, UntilNextDue());
                }
            }
        }
        catch (Exception e)
        {
            // A thread's exception would end the process without a word to the commands in the lab.
            _failed(e);
        }
    }

    private int Move(FlowEnd from, PacketRing ring, PacketRing other)
    {
        var realTime = DateTime.UtcNow.Ticks - DateTime.UnixEpoch.Ticks;
        var now = Now;
        var count = 0;
        for (; count < Batch && ring.TryPeek(count, out var frame); count++)
        {
            // When the kernel got it, which may be a while ago; never before the frame in front of it.
            var arrived = now - TimeSpan.FromTicks(Math.Clamp(realTime - frame.Arrived, 0, now.Ticks));
            _now = arrived > _now ? arrived : _now;
            if (!frame.IsComplete)
            {
                _tooLong++;
                continue;
            }
            var passes = frame.Tag != 0 || Balancer.Process(from, frame.Bytes, _now);
            _log?.Write(from, passes ? FrameFate.Received : FrameFate.Swallowed, frame.Bytes, frame.Tag, frame.Arrived);
            Record(from, passes, frame.Bytes, frame.Tag);
            LogForged();
            if (passes)
            {
                other.Queue(ring, count);
                _log?.Write(from.Other(), FrameFate.Forwarded, frame.Bytes, frame.Tag, frame.Arrived);
            }
        }
        if (count > 0)
        {
            Flush();
            ring.Release(count);
            Frames += count;
        }
        return count;
    }

    private void Record(FlowEnd from, bool passes, ReadOnlySpan<byte> frame, uint tag)
    {
        if (tag == 0)
        {
            _recorder?.Take(from, passes, frame, _now, _deadline);
        }
        else
        {
            _recorder?.Skip();
        }
    }

    private void SendForged(FlowEnd to, ReadOnlySpan<byte> frame)
    {
        (to == FlowEnd.Client ? _client : _server).Queue(frame);
        if (_log is not null || _recorder is not null)
        {
            _forged.Enqueue((to, frame.ToArray(), DateTime.UtcNow.Ticks - DateTime.UnixEpoch.Ticks));
        }
    }

    /// <summary>Behind the frame that they answer, as on the wire.</summary>
    private void LogForged()
    {
        while (_forged.TryDequeue(out var forged))
        {
            _log?.Write(forged.To, FrameFate.Forged, forged.Frame, 0, forged.Time);
            _recorder?.Forged(forged.To, forged.Frame, _now);
        }
    }

    private void Flush()
    {
        _client.Flush();
        _server.Flush();
    }

    private int UntilNextDue() =>
        Balancer.NextDue() is { } due ? Math.Clamp((int)Math.Ceiling((due - Now).TotalMilliseconds), 0, MaxWait) : MaxWait;
}
