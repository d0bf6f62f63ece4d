using Keepalive.Agent.Log;
using Keepalive.Agent.Reports;
using Keepalive.Agent.Sockets;
using Keepalive.Agent.Tests.Apply;
using Keepalive.Config.Compilation;
using Keepalive.Linux.Sockets;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Keepalive.Agent.Tests.Reports;

/// <summary>Limits on the log lines for many changes.</summary>
public sealed class ChangeLogTests
{
    private const int Many = 20_000;

    private static readonly CompiledRule s_rule = Rig.PolicyFor("10.0.0.0/8", "time: 60s").Policy.Rules[0];
    private readonly TestClock _time = new();

    [Fact]
    public void Socket_TwentyThousandChangesInASecond_AreFewLinesAndASum()
    {
        var logger = new LogLines(LogLevel.Information);
        var log = new ChangeLog(logger, _time);
        for (var i = 0; i < Many; i++)
        {
            log.Socket(Changed(i));
            if (i % 1000 == 999)
            {
                log.EndPass();   // passes may be shorter than a second
            }
        }
        Assert.Equal(50, logger.Said.Count);
        Assert.All(logger.Said, line => Assert.Equal(EventIds.SocketSet, line.Id));
        Assert.Contains("keepalive off → on, time 7200s → 60s", logger.Said[0].Text, StringComparison.Ordinal);
        Assert.Contains($"policy {s_rule.Policy}, destination {s_rule.Destination}", logger.Said[0].Text, StringComparison.Ordinal);
        _time.Advance(TimeSpan.FromSeconds(1));
        log.EndPass();
        Assert.Equal(EventIds.SocketsLeftOut, logger.Said[^1].Id);
        Assert.Contains($"{Many - 50} more", logger.Said[^1].Text, StringComparison.Ordinal);

        // The next second has its own limit, and the sum of suppressed lines is not repeated.
        log.Socket(Changed(1));
        _time.Advance(TimeSpan.FromSeconds(1));
        log.EndPass();
        Assert.Equal(52, logger.Said.Count);
    }

    [Fact]
    public void Socket_UserTimeoutReplaced_IsPartOfTheChange()
    {
        var logger = new LogLines(LogLevel.Information);
        new ChangeLog(logger, _time).Socket(Changed(1) with { UserTimeout = 675_000, ReplacedUserTimeout = 0 });
        Assert.Contains("time 7200s → 60s, user timeout none → 11m15s; policy", Assert.Single(logger.Said).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Socket_ShortUserTimeout_IsLoggedOnceAnHourForEachWorkload()
    {
        var logger = new LogLines(LogLevel.Information);
        var log = new ChangeLog(logger, _time);
        for (var hour = 1; hour <= 2; hour++)
        {
            for (var i = 0; i < 100; i++)
            {
                log.Socket(Short(i, i % 2 == 0 ? "uid:1" : "uid:2"));
            }
            log.Socket(Short(1, "uid:3") with { HasNewUserTimeout = false });
            log.Socket(Short(1, "uid:4") with { Outcome = SocketOutcome.Application });
            log.Socket(Short(1, "uid:5") with { UserTimeout = 16_000 });
            Assert.Equal(2 * hour, logger.Said.Count);
            _time.Advance(TimeSpan.FromHours(1));
            log.EndPass();
        }
        Assert.All(logger.Said, line => Assert.Equal((EventIds.ShortUserTimeout, LogLevel.Warning), (line.Id, line.Level)));
        Assert.Contains(
            "its TCP_USER_TIMEOUT of 3s ends it after 1 lost probe in a row, not 6, because time + interval × probes is 16s; policy", logger.Said[0].Text, StringComparison.Ordinal);

        // All of them are listed at debug.
        logger = new LogLines(LogLevel.Debug);
        log = new ChangeLog(logger, _time);
        for (var i = 0; i < 100; i++)
        {
            log.Socket(Short(i, "uid:1"));
        }
        Assert.Equal(100, logger.Said.Count);
    }

    [Fact]
    public void Socket_ShortUserTimeoutsOfManyWorkloads_AreFewLinesAndASum()
    {
        var logger = new LogLines(LogLevel.Information);
        var log = new ChangeLog(logger, _time);
        for (var i = 0; i < Many; i++)
        {
            log.Socket(Short(i, $"uid:{i}"));
        }
        _time.Advance(TimeSpan.FromSeconds(1));
        log.EndPass();
        Assert.Equal(51, logger.Said.Count);
        Assert.Equal(EventIds.ShortUserTimeoutsLeftOut, logger.Said[^1].Id);
        Assert.Contains($"{Many - 50} more", logger.Said[^1].Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Socket_AtDebug_EveryChangeIsLogged()
    {
        var logger = new LogLines(LogLevel.Debug);
        var log = new ChangeLog(logger, _time);
        for (var i = 0; i < Many; i++)
        {
            log.Socket(Changed(i));
        }
        Assert.Equal(Many, logger.Said.Count(line => line.Id == EventIds.SocketSet));
        Assert.Equal(50, logger.Said.Count(line => line.Level == LogLevel.Information));
    }

    /// <summary>A failure is logged once while the socket exists. The record of a closed socket is dropped.</summary>
    [Fact]
    public void Socket_FailsInEveryPass_IsLoggedOnceAndDroppedWhenClosed()
    {
        var logger = new LogLines(LogLevel.Information);
        var log = new ChangeLog(logger, _time);
        var failing = Changed(7) with { Outcome = SocketOutcome.Failed, Changed = false, Replaced = null, Reason = "stateFile" };
        Pass(failing);
        Pass(failing);
        log.Socket(in failing);   // outside of a namespace's own part of the pass
        Assert.Equal(EventIds.SocketFailed, Assert.Single(logger.Said).Id);
        Pass(failing with { Reason = "EPERM" });
        Assert.Equal(2, logger.Said.Count);
        Pass();
        Pass(failing with { Reason = "EPERM" });
        Assert.Equal(3, logger.Said.Count);

        void Pass(params SocketRecord[] records)
        {
            log.BeginNamespace(1);
            foreach (var record in records)
            {
                log.Socket(in record);
            }
            log.EndNamespace(1);
            log.EndPass();
        }
    }

    /// <summary>Set sockets must not use up the lines of failed sockets.</summary>
    [Fact]
    public void Socket_FailsAfterThousandsWereSet_EveryFailureIsLogged()
    {
        var logger = new LogLines(LogLevel.Warning);
        var log = new ChangeLog(logger, _time);
        for (var i = 0; i < 1000; i++)
        {
            log.Socket(Changed(i));
        }
        for (var i = 1000; i < 1100; i++)
        {
            log.Socket(Changed(i) with { Outcome = SocketOutcome.Failed, Changed = false, Replaced = null, Reason = "stateFile" });
        }
        Assert.InRange(logger.Said.Count, 1, 50);
        var said = logger.Said.Count;
        _time.Advance(TimeSpan.FromSeconds(1));
        log.EndPass();
        Assert.Equal((LogLevel.Warning, EventIds.FailuresLeftOut), (logger.Said[^1].Level, logger.Said[^1].Id));
        Assert.Contains($"{100 - said} more", logger.Said[^1].Text, StringComparison.Ordinal);
    }

    private static SocketRecord Changed(int cookie) => new()
    {
        Namespace = 1,
        Cookie = (ulong)cookie,
        Local = default,
        Remote = default,
        State = TcpState.Established,
        Outcome = SocketOutcome.Managed,
        Changed = true,
        Replaced = new KeepaliveOptions(false, 7200, 75, 9),
        Current = new KeepaliveOptions(true, 60, 75, 9),
        Rule = s_rule,
    };

    private static SocketRecord Short(int cookie, string workload) => Changed(cookie) with
    {
        Workload = workload,
        Changed = false,
        Replaced = null,
        Current = new KeepaliveOptions(true, 4, 2, 6),
        UserTimeout = 3_000,
        HasNewUserTimeout = true,
    };
}
