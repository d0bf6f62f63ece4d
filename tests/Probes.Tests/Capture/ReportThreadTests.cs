using System.Text;
using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Reports;
using Xunit;

namespace Keepalive.Probes.Tests.Capture;

/// <summary>Findings that are printed on a thread of their own.</summary>
public sealed class ReportThreadTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(500)]
    [InlineData(512)]
    [InlineData(20_000)]
    public void Found_AnyNumber_IsPrintedAsOnOneThread(int probes)
    {
        using var expected = new MemoryStream();
        using var output = new MemoryStream();
        var direct = ProbeReport.Create(expected, json: true);
        Play(direct, probes);
        direct.Flush();
        var report = ProbeReport.Create(output, json: true);
        using (var thread = new ReportThread(report))
        {
            Play(thread, probes);
            thread.Drain();
            report.Flush();
        }

        Assert.Equal(Encoding.UTF8.GetString(expected.ToArray()), Encoding.UTF8.GetString(output.ToArray()));
    }

    /// <summary>Everything found so far is printed when somebody waits for it, as before a progress line or when a pipe pauses.</summary>
    [Fact]
    public void Drain_InBetween_PrintsEverythingSoFar()
    {
        using var output = new MemoryStream();
        var report = ProbeReport.Create(output, json: true);
        using var thread = new ReportThread(report);
        var scan = new ProbeScan(thread);
        var lines = 0;
        foreach (var probes in (int[])[3, 2000, 1, 5000, 1024])
        {
            Play(scan, probes);
            thread.Drain();
            report.Flush();

            Assert.Equal(lines += 2 * probes, output.ToArray().Count(static b => b == '\n'));
        }
    }

    [Theory]
    [InlineData(100)]
    [InlineData(50_000)]
    public void Found_OutputFails_ThrowsItsExceptionAndEnds(int probes)
    {
        using var output = new Full();
        var report = ProbeReport.Create(output, json: true);
        using var thread = new ReportThread(report);

        Assert.Throws<InvalidDataException>(() =>
        {
            Play(thread, probes);
            thread.Drain();
            report.Flush();
        });
    }

    /// <summary>An output that nobody reads stops the scan, so that memory stays bounded.</summary>
    [Fact]
    public async Task Found_OutputBlocks_WaitsWithFewFindings()
    {
        using var output = new Blocked();
        var report = ProbeReport.Create(output, json: true);
        using var thread = new ReportThread(report);
        var found = 0L;
        var scanning = Task.Factory.StartNew(() => Play(new Counted(thread, () => Interlocked.Increment(ref found)), 50_000), TestContext.Current.CancellationToken,
            TaskCreationOptions.LongRunning, TaskScheduler.Default);
        Assert.True(output.Writing.Wait(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken));
        Assert.False(scanning.IsCompleted);
        Assert.InRange(Interlocked.Read(ref found), 1, 5_000);
        output.Open.Set();
        await scanning.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken);
        thread.Drain();
        Assert.Equal(100_000, Interlocked.Read(ref found));
    }

    private static void Play(IFindingSink sink, int probes)
    {
        var scan = new ProbeScan(sink);
        Play(scan, probes);
        scan.End();
    }

    /// <summary>One connection's probes and replies.</summary>
    private static void Play(ProbeScan scan, int probes)
    {
        var first = scan.Packets == 0;
        foreach (var client in (bool[])(first ? [false, true] : []))
        {
            Take(client, 1);
        }
        for (var i = 0; i < probes; i++)
        {
            Take(client: true, 0);
            Take(client: false, 1);
        }

        void Take(bool client, uint sequence)
        {
            var number = scan.Packets + 1;
            var bytes = new Frame
            {
                Source = client ? "10.0.0.1:40000" : "10.0.0.2:443",
                Destination = client ? "10.0.0.2:443" : "10.0.0.1:40000",
                Sequence = sequence,
                Acknowledged = 1,
                Identification = (ushort)number,
            }.ToBytes();
            scan.Take(new CapturedPacket(number, number * 1_000_000_000, LinkType.Ethernet, bytes, bytes.Length));
        }
    }

    private sealed class Counted(IFindingSink sink, Action count) : IFindingSink
    {
        public void Begin(PathTable paths) => sink.Begin(paths);

        public void Found(in Finding finding)
        {
            count();
            sink.Found(in finding);
        }
    }

    private sealed class Full : MemoryStream
    {
        public override void Write(byte[] buffer, int offset, int count) => throw new InvalidDataException();
    }

    private sealed class Blocked : MemoryStream
    {
        public ManualResetEventSlim Open { get; } = new();

        public ManualResetEventSlim Writing { get; } = new();

        public override void Write(byte[] buffer, int offset, int count)
        {
            Writing.Set();
            Open.Wait();
        }

        protected override void Dispose(bool disposing)
        {
            Open.Set();
            base.Dispose(disposing);
        }
    }
}
