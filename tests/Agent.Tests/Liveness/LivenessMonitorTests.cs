using System.Buffers.Binary;
using System.Net;
using Keepalive.Agent.Liveness;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Tests.Apply;
using Keepalive.Linux.Netlink;
using Keepalive.Linux.Packets;
using Keepalive.Linux.Sockets;
using Keepalive.Probes.Capture;
using Keepalive.Probes.Tests.Capture;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Liveness;

/// <summary>The results of captured segments for a watched connection: a client's, with three probes, one second apart.</summary>
public sealed class LivenessMonitorTests : IRoundTripListener, IDisposable
{
    private const ulong Namespace = 4026531840;
    private const ulong Cookie = 7;
    private const string Client = "10.0.0.1:40000";
    private const string Server = "10.0.0.2:443";

    private static readonly SocketRecord s_record = new()
    {
        Namespace = Namespace,
        Cookie = Cookie,
        Local = Endpoint(Client),
        Remote = Endpoint(Server),
        State = TcpState.Established,
        Current = new KeepaliveOptions(true, 1, 1, 3),
        Rule = Rig.PolicyFor("10.0.0.2", "time: 1s, interval: 1s, probes: 3").Policy.Rules[0],
    };

    private readonly Clock _clock = new();
    private readonly LivenessMonitor _monitor;
    private readonly Frames _frames;
    private readonly List<double> _roundTrips = [];

    public LivenessMonitorTests()
    {
        _monitor = new LivenessMonitor(new LivenessLog(NullLogger.Instance), _clock, captures: true);
        Pass();
        _frames = new Frames(Assert.Single(_monitor.Demands()).Scope);
        _monitor.RoundTrips = this;
        Captured(0, Server, 1, TcpFlags.Ack);
        Captured(0, Client, 1, TcpFlags.Ack);
    }

    [Theory]
    [InlineData(12_345)]    // acknowledges data that may not have been captured
    [InlineData(-12_345)]
    [InlineData(0)]
    public void Reset_RefusedByTheKernel_IsNoDeathAndARealOneIs(int sequence)
    {
        Captured(1, Server, sequence, TcpFlags.Rst);
        Captured(1.001, Client, 1, TcpFlags.Ack);   // the challenge
        Assert.Equal(new Deaths(0, 0), Count(5));

        foreach (var second in (int[])[6, 7, 8])
        {
            Captured(second, Client, 0, TcpFlags.Ack);
        }
        Captured(9, Client, 1, TcpFlags.Rst | TcpFlags.Ack);
        Assert.Equal(new Deaths(Probes: 1, Reset: 0), Count(9));
    }

    /// <summary>Regression: the drops hid both probes of a connection, and its death was noticed when its next probe was overdue.</summary>
    [Fact]
    public void Doubtful_PacketsDropped_UntilAPassHasReadTheKernelsCounts()
    {
        Assert.Empty(_monitor.Doubtful());

        _monitor.Missed(_frames.Scope);
        Assert.Equal([Namespace], _monitor.Doubtful());

        Pass(during: () => _monitor.Missed(_frames.Scope));
        Assert.Equal([Namespace], _monitor.Doubtful());

        Pass();
        Assert.Empty(_monitor.Doubtful());
    }

    [Fact]
    public void Doubtful_NoProbeCapturedInTime_UntilAPassHasReadTheKernelsCount()
    {
        _clock.Seconds = 1;
        Assert.Empty(_monitor.Doubtful());
        _clock.Seconds = 10;
        Assert.Equal([Namespace], _monitor.Doubtful());
        Assert.Equal([Namespace], _monitor.Doubtful());

        Pass();
        Assert.Empty(_monitor.Doubtful());
        _clock.Seconds = 20;
        Assert.Equal([Namespace], _monitor.Doubtful());
    }

    [Fact]
    public void Demands_AnotherConnectionBetweenTheSameAddresses_AreTheSame()
    {
        var before = Assert.Single(_monitor.Demands());
        Report(s_record with { Cookie = 8, Local = Endpoint("10.0.0.1:40001") });
        Assert.Same(before, Assert.Single(_monitor.Demands()));

        Report(s_record with { Cookie = 9, Local = Endpoint("10.0.0.3:40001"), Pid = 12 });
        var after = Assert.Single(_monitor.Demands());
        Assert.NotEqual(before.Version, after.Version);
        Assert.Equal((2, 1), (after.Locals.Count, after.Remotes.Count));
        Assert.Equal([12], after.Processes);

        _monitor.BeginChanges(Namespace);
        _monitor.Gone(Namespace, 9);
        _monitor.EndNamespace(Namespace);
        var last = Assert.Single(_monitor.Demands());
        Assert.NotEqual(after.Version, last.Version);
        Assert.Single(last.Locals);
        Assert.Empty(last.Processes);

        void Report(SocketRecord record)
        {
            _monitor.BeginChanges(Namespace);
            _monitor.Socket(in record);
            _monitor.EndNamespace(Namespace);
        }
    }

    /// <summary>Changes do not contain connections without unanswered probes. A captured count that says otherwise is wrong.</summary>
    [Fact]
    public void Changes_WithoutAConnectionThatSeemsUnanswered_EndItsCount()
    {
        Captured(1, Client, 0, TcpFlags.Ack);
        Assert.Equal(1, _monitor.Unanswered(Namespace, Cookie));

        _clock.Seconds = 1.9;
        _monitor.BeginChanges(Namespace);
        _monitor.EndNamespace(Namespace);
        Assert.Equal(0, _monitor.Unanswered(Namespace, Cookie));
        Assert.Single(_monitor.ListConnections());
    }

    [Fact]
    public void Reset_WithTheExpectedNumber_IsADeath()
    {
        Captured(1, Server, 1, TcpFlags.Rst | TcpFlags.Ack);

        Assert.Equal(new Deaths(Probes: 0, Reset: 1), Count(1));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Reset_WhenAnEndIsDone_IsNoDeath(bool own)
    {
        Captured(1, own ? Client : Server, 1, TcpFlags.Fin | TcpFlags.Ack);
        Captured(1.001, Server, own ? 1 : 2, TcpFlags.Rst | TcpFlags.Ack);
        Assert.Equal(new Deaths(0, 0), Count(1.1));
        _monitor.BeginNamespace(Namespace);
        _monitor.EndNamespace(Namespace);

        Assert.Equal(new Deaths(0, 0), Count(9));
    }

    /// <summary>Regression: the reset with which the kernel gives up counted as a sign of life, so that a connection whose probes were sent before the
    /// capture began was no death.</summary>
    [Theory]
    [InlineData(4.1, 1)]
    [InlineData(2.1, 0)]   // too early for the kernel: its application has closed it
    public void Reset_OwnOneAfterProbesThatWereNotCaptured_IsADeath(double seconds, int deaths)
    {
        Captured(seconds, Client, 1, TcpFlags.Rst | TcpFlags.Ack);
        _monitor.BeginNamespace(Namespace);
        _monitor.EndNamespace(Namespace);

        Assert.Equal(new Deaths(Probes: deaths, Reset: 0), Count(seconds));
    }

    /// <summary>Enough time passed for all its probes, but the connection was dead before.</summary>
    [Fact]
    public void Reset_LongBeforeThePassThatMissesTheConnection_IsOneDeathAndNoProbes()
    {
        Captured(1, Server, 1, TcpFlags.Rst | TcpFlags.Ack);
        _clock.Seconds = 20;
        _monitor.BeginNamespace(Namespace);
        _monitor.EndNamespace(Namespace);

        Assert.Equal(new Deaths(Probes: 0, Reset: 1), Count(20));
        Assert.Equal(0, Probes(20));
    }

    /// <summary>Regression: enough time for all its probes seemed to have passed, and it was counted as dead.</summary>
    [Fact]
    public void MachineClock_SetAnHourAhead_NothingIsOverdue()
    {
        _clock.SetBy = TimeSpan.FromHours(1);
        Count(1);
        _monitor.BeginNamespace(Namespace);
        _monitor.EndNamespace(Namespace);

        Assert.Equal(new Deaths(0, 0), Count(1.1));
        Assert.Equal(0, Probes(1.1));
    }

    /// <summary>Regression: a death was noticed immediately, or only when the clock had caught up.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(-1)]
    public void MachineClock_SetAfterTheLastProbe_DeathIsOnTimeAndInTheNewClock(int hours)
    {
        Captured(1, Client, 0, TcpFlags.Ack);
        Captured(2, Client, 0, TcpFlags.Ack);
        Captured(3, Client, 0, TcpFlags.Ack);
        _clock.SetBy = TimeSpan.FromHours(hours);
        Assert.Equal(new Deaths(0, 0), Count(3.5));

        Assert.Equal(new Deaths(Probes: 1, Reset: 0), Count(5.5));
        Assert.Equal(3, Probes(5.5));
        var endpoint = Assert.Single(_monitor.ListEndpoints());
        Assert.InRange(_clock.Nanoseconds - endpoint.OutSince, 0, 5_000_000_000);
    }

    /// <summary>An unread answer has a time stamp from before the clock was set. Regression: the round trip of a later answer was an
    /// hour.</summary>
    [Theory]
    [InlineData(1, true)]
    [InlineData(-1, true)]
    [InlineData(1, false)]
    [InlineData(-1, false)]
    public void MachineClock_SetBeforeAnAnswerIsRead_RoundTripIsRight(int hours, bool waits)
    {
        Captured(1, Client, 0, TcpFlags.Ack);
        var stamp = _clock.Nanoseconds + 20_000_000;
        _clock.SetBy = TimeSpan.FromHours(hours);
        stamp += waits ? 0 : _clock.SetBy.Ticks * 100;
        _clock.Seconds = 1.5;
        _monitor.CheckOverdue();
        _frames.Next(stamp, new Frame { Source = Server, Destination = Client, Sequence = 1, Acknowledged = 1, Flags = TcpFlags.Ack, Window = 500 }.ToBytes());
        _monitor.Take(_frames);

        Assert.Equal(0, _monitor.Unanswered(Namespace, Cookie));
        Count(2);
        Assert.Equal(0.02, Assert.Single(_roundTrips), 0.001);
    }

    /// <summary>Regression: with many probes at once, the reply to a probe that the ring had no room for was taken for one to the probe a minute
    /// before.</summary>
    [Fact]
    public void Reply_AfterDroppedPackets_CountsWithoutARoundTrip()
    {
        Captured(1, Client, 0, TcpFlags.Ack);
        _monitor.Missed(_frames.Scope);
        Captured(2.02, Server, 1, TcpFlags.Ack);
        Count(2.1);
        Assert.Empty(_roundTrips);
        Assert.Equal(0, _monitor.Unanswered(Namespace, Cookie));

        Captured(3, Client, 0, TcpFlags.Ack);
        Captured(3.02, Server, 1, TcpFlags.Ack);
        Count(3.1);
        Assert.Equal(0.02, Assert.Single(_roundTrips), 0.001);
    }

    /// <summary>Accepted connections have no endpoint: nobody can connect to their far end.</summary>
    [Fact]
    public void Accepted_Dies_LeavesNoEndpointOutOfThePool()
    {
        var record = new SocketRecord
        {
            Namespace = Namespace,
            Cookie = 8,
            Local = Endpoint("10.0.0.2:443"),
            Remote = Endpoint("10.0.0.9:50000"),
            State = TcpState.Established,
            Unanswered = 3,
            Timer = TcpTimer.Keepalive,
            Current = new KeepaliveOptions(true, 1, 1, 3),
            Rule = Rig.PolicyFor("10.0.0.2", "time: 1s, interval: 1s, probes: 3").Policy.Rules[0],
        };
        _monitor.BeginNamespace(Namespace);
        _monitor.Socket(in record);
        _monitor.EndNamespace(Namespace);
        _clock.Seconds = 20;
        _monitor.BeginNamespace(Namespace);
        _monitor.EndNamespace(Namespace);

        Assert.Equal(1, Count(20).Probes);
        Assert.DoesNotContain(_monitor.ListEndpoints(), row => row.Remote == record.Remote);
    }

    [Fact]
    public void Reset_AfterUncapturedData_IsADeathIfTheConnectionEnds()
    {
        Captured(1, Server, 501, TcpFlags.Rst | TcpFlags.Ack);
        Assert.Equal(new Deaths(Probes: 0, Reset: 0), Count(1.5));
        Assert.Equal(new Deaths(Probes: 0, Reset: 1), Count(3));
    }

    [Fact]
    public void Reset_AfterUncapturedData_IsADeathIfTheKernelHasDroppedIt()
    {
        Captured(1, Server, 501, TcpFlags.Rst | TcpFlags.Ack);
        _monitor.BeginNamespace(Namespace);
        _monitor.EndNamespace(Namespace);

        Assert.Equal(new Deaths(Probes: 0, Reset: 1), Count(1.1));
        Assert.Equal(new Deaths(Probes: 0, Reset: 1), Count(9));
    }

    /// <summary>Regression: a pass that ran before the reset was read took the connection for one that its application closed.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(501)]
    public void Reset_ReadAfterThePassThatMissesTheConnection_IsADeath(int sequence)
    {
        _clock.Seconds = 1.01;
        _monitor.BeginNamespace(Namespace);
        _monitor.EndNamespace(Namespace);
        Captured(1, Server, sequence, TcpFlags.Rst | TcpFlags.Ack, readAt: 1.02);

        Assert.Equal(new Deaths(Probes: 0, Reset: 1), Count(1.1));
        Assert.Equal(new Deaths(Probes: 0, Reset: 1), Count(9));
    }

    [Fact]
    public void Reset_SentAfterTheConnectionHadEnded_IsNoDeath()
    {
        _clock.Seconds = 1;
        _monitor.BeginNamespace(Namespace);
        _monitor.EndNamespace(Namespace);
        Captured(1.01, Server, 1, TcpFlags.Rst | TcpFlags.Ack);

        Assert.Equal(new Deaths(0, 0), Count(9));
    }

    [Fact]
    public void WindowProbe_TheFirstThatWasCaptured_IsCountedApart()
    {
        Captured(2, Client, 500, TcpFlags.Ack);   // follows data that was not captured: a window probe or a keepalive probe
        Captured(2.001, Server, 1, TcpFlags.Ack, acknowledged: 501, window: 0);
        Captured(5, Client, 500, TcpFlags.Ack);
        Captured(5.001, Server, 1, TcpFlags.Ack, acknowledged: 501, window: 0);
        Captured(6, Server, 1, TcpFlags.Ack, acknowledged: 501);
        Assert.Equal(0, Probes(6));

        Captured(7.1, Client, 500, TcpFlags.Ack);
        Captured(7.101, Server, 1, TcpFlags.Ack, acknowledged: 501);
        Assert.Equal(1, Probes(8));
    }

    public void Dispose() => _frames.Dispose();

    void IRoundTripListener.Took(double seconds) => _roundTrips.Add(seconds);

    private void Pass(Action? during = null)
    {
        _monitor.BeginNamespace(Namespace);
        _monitor.Socket(s_record);
        during?.Invoke();
        _monitor.EndNamespace(Namespace);
    }

    private void Captured(double seconds, string from, int sequence, TcpFlags flags, uint acknowledged = 1, ushort window = 500, double readAt = 0)
    {
        _clock.Seconds = seconds;
        var time = _clock.Nanoseconds;
        _clock.Seconds = Math.Max(seconds, readAt);
        _frames.Next(time, new Frame
        {
            Source = from,
            Destination = from == Client ? Server : Client,
            Sequence = unchecked((uint)sequence),
            Acknowledged = acknowledged,
            Flags = flags,
            Window = window,
        }.ToBytes());
        _monitor.Take(_frames);
    }

    private Deaths Count(double seconds)
    {
        var deaths = Totals(seconds).SelectMany(totals => totals.Deaths).ToLookup(death => death.Cause, death => (int)death.Count);
        return new Deaths(deaths[DeathCause.Probes].Sum(), deaths[DeathCause.Reset].Sum());
    }

    private long Probes(double seconds) => Totals(seconds).Sum(totals => totals.Probes);

    private IEnumerable<RuleTotals> Totals(double seconds)
    {
        _clock.Seconds = seconds;
        _monitor.CheckOverdue();
        _monitor.EndPass();
        return _monitor.Counts().Select(counted => counted.Value);
    }

    private static SocketEndpoint Endpoint(string text)
    {
        var endpoint = IPEndPoint.Parse(text);
        return new SocketEndpoint(BinaryPrimitives.ReadUInt128BigEndian(endpoint.Address.MapToIPv6().GetAddressBytes()), (ushort)endpoint.Port);
    }

    private readonly record struct Deaths(int Probes, int Reset);

    private sealed class Clock : TimeProvider
    {
        public double Seconds { get; set; }

        /// <summary>The clock's step; time itself goes on evenly.</summary>
        public TimeSpan SetBy { get; set; }

        public long Nanoseconds => (GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks * 100;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddDays(20_000).AddTicks(GetTimestamp()) + SetBy;

        public override long GetTimestamp() => (long)(Seconds * TimeSpan.TicksPerSecond);
    }

    /// <summary>One frame at a time.</summary>
    private sealed class Frames(int scope) : IPacketSource
    {
        private byte[]? _bytes;
        private long _time;
        private long _number;

        public int Scope { get; } = scope;

        public void Next(long time, byte[] bytes) => (_time, _bytes) = (time, bytes);

        public bool TryRead(out CapturedPacket packet)
        {
            packet = default;
            if (_bytes is not { } bytes)
            {
                return false;
            }
            _bytes = null;
            packet = new CapturedPacket(++_number, _time, LinkType.Ethernet, bytes, bytes.Length, Scope);
            return true;
        }

        public void Dispose()
        {
        }
    }
}
