using System.Net;
using System.Net.Sockets;
using Keepalive.Linux.Sockets;
using Keepalive.Simulator.Discover;
using Xunit;

namespace Keepalive.Simulator.Tests.Discover;

/// <summary>A process that has to wait for a processor at any time: what it observes contains the true times.</summary>
public sealed class ProbedConnectionTests : IDisposable
{
    private readonly LateSocket _socket = new();
    private readonly ProbedConnection _one;

    public ProbedConnectionTests() => _one = new ProbedConnection(_socket, TimeSpan.Zero, () => TimeSpan.FromSeconds(_socket.Now));

    public void Dispose() => _one.Dispose();

    /// <summary>The far end closes 6 s after its answer. Both are seen late, and another packet is seen soon in between.</summary>
    [Fact]
    public void Close_SeenAfterAWait_IsNotTooEarly()
    {
        Open();
        _one.Send("a"u8);
        _socket.Now = 1;
        _ = Poll();
        _socket.Received = 10;
        _socket.Segments++;
        _socket.Now = 1.3;   // it came at 1.0 or later
        _ = Poll();
        _socket.Now = 3;
        _ = Poll();
        _socket.Segments++;
        _ = Poll();
        _socket.Now = 6.98;
        _ = Poll();
        _socket.BeforeRead = 0.03;   // it comes at 7.01, while the process waits to look
        _socket.State = TcpState.CloseWait;
        var seen = Poll()!.Value;

        Assert.Equal(IdleAnswer.ClosedByItself, seen.Answer);
        Assert.True(seen.SincePayload >= TimeSpan.FromSeconds(6), $"{seen}");
        Assert.True(seen.SincePayload - seen.Blur <= TimeSpan.FromSeconds(5.71), $"{seen}");
        Assert.True(seen.SinceAny >= TimeSpan.FromSeconds(4) && seen.SinceAny - seen.Blur <= TimeSpan.FromSeconds(4.01), $"{seen}");
        // The answer may have been sent for the first time as soon as the request was.
        Assert.InRange(seen.Late, TimeSpan.FromSeconds(1.2), TimeSpan.FromSeconds(1.4));
    }

    /// <summary>The probe goes out later than it was decided to.</summary>
    [Fact]
    public void Reset_OfAProbeThatWasSentLate_IsNotTooEarly()
    {
        Open();
        _socket.Now = 5.95;
        _socket.BeforeProbe = 0.2;
        _one.Test(TimeSpan.FromSeconds(5.95));
        _socket.State = TcpState.Close;
        var seen = Poll()!.Value;

        Assert.Equal(IdleAnswer.Reset, seen.Answer);
        Assert.True(seen.SinceAny >= TimeSpan.FromSeconds(6.1) && seen.SinceAny - seen.Blur <= TimeSpan.FromSeconds(5.95), $"{seen}");
    }

    /// <summary>A second probe of a test is answered after the first: that is no handshake that ends late.</summary>
    [Theory]
    [InlineData(false, 0.9)]
    [InlineData(true, 2.9)]
    public void Packet_SoonAfterTheOpening_StartsTheClockUnlessItAnswersAProbe(bool isTested, double expected)
    {
        Open();
        _socket.Now = 1.2;
        if (isTested)
        {
            _one.Test(TimeSpan.FromSeconds(1.2));
            _socket.Now = 1.25;
            _socket.Segments++;
            Assert.Equal(IdleAnswer.Alive, Poll()!.Value.Answer);
        }
        _socket.Now = 2.1;
        _socket.Segments++;
        _ = Poll();

        Assert.InRange(_one.SincePayload(TimeSpan.FromSeconds(3)), TimeSpan.FromSeconds(expected - 0.01), TimeSpan.FromSeconds(expected + 0.2));
    }

    private void Open()
    {
        _socket.State = TcpState.Established;
        _ = Poll();
        Assert.Equal(ProbedPhase.Idle, _one.Phase);
    }

    private Observation? Poll() => _one.Poll(default);

    private sealed class LateSocket : IProbeSocket
    {
        private double _heard;

        public double Now { get; set; }

        public double BeforeRead { get; set; }

        public double BeforeProbe { get; set; }

        public TcpState State { get; set; } = TcpState.SynSent;

        public ulong Received { get; set; }

        public uint Segments
        {
            get;
            set
            {
                field = value;
                _heard = Now;
            }
        }

        public IPEndPoint? Local => null;

        public SocketError Error => SocketError.Success;

        public TcpInfo Read()
        {
            Now += BeforeRead;
            return new TcpInfo(State, 0, true, 0, TimeSpan.FromSeconds(Now - _heard), TimeSpan.FromMilliseconds(1), Received, Segments);
        }

        public void Probe() => Now += BeforeProbe;

        public void Rest()
        {
        }

        public void Send(ReadOnlySpan<byte> payload)
        {
        }

        public void Drain()
        {
        }

        public void Abort()
        {
        }

        public void Dispose()
        {
        }
    }
}
