using Keepalive.Config.Balancers;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Pages;
using Keepalive.Simulator.Balancing;
using Keepalive.Simulator.Lab;
using Xunit;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary>The recorder beside the balancer, in virtual time, as the forwarder calls it.</summary>
public sealed class PacketRecorderTests
{
    private static readonly BalancerRule s_rule = new(TimeSpan.FromSeconds(4), IdleBehaviour.Find("reset-on-next-packet")!.Value);

    private readonly PacketRecorder _recorder = new(s_rule);
    private readonly IdleBalancer _balancer;
    private readonly Queue<(FlowEnd To, byte[] Frame)> _forged = new();

    public PacketRecorderTests() => _balancer = new IdleBalancer(s_rule, (to, frame) => _forged.Enqueue((to, frame.ToArray())), _recorder.Happened);

    [Fact]
    public void Connections_SwallowedAndForged_AreRecordedWithTheirFate()
    {
        Handshake();
        _balancer.Expire(TimeSpan.FromSeconds(4));
        Pass(6, new(FlowEnd.Client, TcpFlags.Ack | TcpFlags.Psh, 101, 201) { Payload = 10 });

        var recorded = Assert.Single(_recorder.Connections());

        Assert.Equal(
            [PacketFate.Passed, PacketFate.Passed, PacketFate.Passed, PacketFate.Swallowed, PacketFate.Forged],
            recorded.Connection.Packets.Select(packet => packet.Fate));
        // Each frame that is forwarded has two numbers, as in the capture file.
        Assert.Equal([1, 3, 5, 7, 8], recorded.Connection.Packets.Select(packet => packet.Frame));
        Assert.Equal((PacketKind.Reset, false), (recorded.Connection.Packets[^1].Kind, recorded.Connection.Packets[^1].IsFromClient));
        Assert.Equal([new ReportMark(4_000_000_000, MarkKind.Expired, "expired after 4.00 s")], recorded.Connection.Marks);
        Assert.Equal([4_000_000_000, 4_000_000_000, 4_000_000_000, 0, 0], recorded.Connection.Packets.Select(packet => packet.Left));
        Assert.Equal((1, 1, 1), (recorded.Count(LabEventKind.Expired), recorded.Count(LabEventKind.Swallowed), recorded.Count(LabEventKind.Reset)));
    }

    [Fact]
    public void Connections_ProbeAndReply_AreJoinedAndRestartTheClock()
    {
        Handshake();
        Pass(3, new(FlowEnd.Client, TcpFlags.Ack, 100, 201));
        Pass(3.001, new(FlowEnd.Server, TcpFlags.Ack, 201, 101));

        var connection = Assert.Single(_recorder.Connections()).Connection;

        Assert.Equal((PacketKind.Probe, 7, 3_000_000_000), (connection.Packets[3].Kind, connection.Packets[3].Frame, connection.Packets[3].Idle));
        Assert.Equal((PacketKind.Reply, 7), (connection.Packets[4].Kind, connection.Packets[4].Answers));
        Assert.Equal(4_000_000_000, connection.Packets[4].Left);
        Assert.Empty(connection.Marks);
    }

    private void Handshake()
    {
        Pass(0, new(FlowEnd.Client, TcpFlags.Syn, 100, 0));
        Pass(0, new(FlowEnd.Server, TcpFlags.Syn | TcpFlags.Ack, 200, 101));
        Pass(0, new(FlowEnd.Client, TcpFlags.Ack, 101, 201));
    }

    private void Pass(double seconds, Segment segment)
    {
        var (frame, now) = (segment.ToFrame(), TimeSpan.FromSeconds(seconds));
        var passes = _balancer.Process(segment.From, frame, now);
        _recorder.Take(segment.From, passes, frame, now, _balancer.DeadlineOf);
        while (_forged.TryDequeue(out var forged))
        {
            _recorder.Forged(forged.To, forged.Frame, now);
        }
    }
}
