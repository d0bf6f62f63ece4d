using System.Runtime.CompilerServices;
using Keepalive.Agent.Kubernetes;
using Keepalive.Config;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Kubernetes;

/// <summary>The Events that nodes write to the API.</summary>
[Collection(nameof(KindWatchTests))]
public sealed class EventReporterTests : IDisposable
{
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(20);
    private static readonly WatchTiming s_timing = new();

    private readonly TestClock _clock = new();
    private readonly FakeApiServer _api = FakeApiServer.Start();
    private readonly CancellationTokenSource _stop = new();
    private readonly List<IDisposable> _open = [];
    private readonly List<Task> _running = [];

    private int Posts => _api.Requests.Count(request => request.StartsWith("POST", StringComparison.Ordinal));

    [Fact]
    public void Report_SameThingWithOtherNumbersOnEachNode_IsOneEvent()
    {
        var (one, another) = (Node("node-1"), Node("node-2"));
        one.Report(Object("p"), Warning("matches none of the 27 Services"));
        another.Report(Object("p"), Warning("matches none of the 28 Services"));
        one.Report(Object("p"), Warning("matches none of the 29 Services"));
        // The next report is the third write, not the fourth.
        one.Report(Object("q"), Warning("matches nothing"));
        another.Report(Object("q"), Warning("matches nothing"));

        Until(() => Posts == 4 && _api.Kind("events").Objects.Count == 2);
    }

    [Fact]
    public void Report_SameThingAnHourLater_IsWrittenAgain()
    {
        var node = Node("node-1");
        node.Report(Object("p"), Warning("matches nothing"));
        Until(() => Posts == 1);
        _clock.Advance(TimeSpan.FromHours(1) - s_timing.EventsWithin);
        node.Report(Object("p"), Warning("matches nothing"));
        node.Report(Object("q"), Warning("matches nothing"));
        Until(() => Posts == 2 && _api.Kind("events").Objects.Count == 2);

        _clock.Advance(s_timing.EventsWithin);
        node.Report(Object("p"), Warning("matches nothing"));
        Until(() => Posts == 3);
    }

    [Fact]
    public void Report_ManyThings_AreWrittenOneByOneWithinTheTimeForEach()
    {
        var node = Node("node-1");
        foreach (var name in (string[])["p", "q", "r"])
        {
            node.Report(Object(name), Warning("matches nothing"));
        }
        for (var posts = 0; posts < 3; posts++)
        {
            var wait = TimeSpan.Zero;
            Eventually.True(() => _clock.PassWait() is { } passed && (wait = passed) == passed, s_soon);
            Eventually.True(() => Posts == posts + 1, s_soon);
            Assert.InRange(wait, TimeSpan.Zero, s_timing.EventsWithin);
        }
    }

    [Fact]
    public void Report_LongestName_IsCutToWhatTheServerTakes()
    {
        Node("node-1").Report(Object(new string('p', 253)), Warning("matches nothing"));

        Until(() => _api.Kind("events").Objects.Count == 1);
        Assert.InRange(_api.Kind("events").Objects.Keys.Single().Name.Length, 240, 253);
    }

    [Fact]
    public void Report_NotWritten_IsTriedAgain()
    {
        var node = Node("node-1");
        _api.Kind("events").Refusal = 500;
        node.Report(Object("p"), Warning("matches nothing"));
        Until(() => Posts == 1);
        _api.Kind("events").Refusal = null;

        Until(() =>
        {
            node.Report(Object("p"), Warning("matches nothing"));   // as with each compilation
            return _api.Kind("events").Objects.Count == 1;
        });
        Assert.Equal(2, Posts);
    }

    /// <summary>Waits for a condition and ends each wait before an Event immediately.</summary>
    private void Until(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string what = "") => Eventually.True(
        () =>
        {
            if (condition())
            {
                return true;
            }
            _clock.PassWait();
            return false;
        },
        s_soon,
        what: what);

    public void Dispose()
    {
        _stop.Cancel();
        Task.WaitAll([.. _running], TimeSpan.FromSeconds(10));
        _open.ForEach(one => one.Dispose());
        _api.Dispose();
        _stop.Dispose();
    }

    private static ObjectReference Object(string name) => new("resilience.policy.gloo.solo.io/v2", "ConnectionPolicy", "shop", name, $"uid of {name}");

    private static Diagnostic Warning(string message) => new("KA043", Severity.Warning, new SourcePosition("ConnectionPolicy shop/p", 0, 0), message, null);

    private EventReporter Node(string name)
    {
        // Not the test's clock: a request that is under way would be late whenever the test ends a wait.
        var connection = new ApiConnection(ApiAccess.Of(_api.Address), TimeProvider.System);
        var reporter = new EventReporter(connection, name, s_timing, _clock, NullLogger.Instance);
        _running.Add(Task.Run(() => reporter.RunAsync(_stop.Token)));
        _open.AddRange([reporter, connection]);
        return reporter;
    }
}
