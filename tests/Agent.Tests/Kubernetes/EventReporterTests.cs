using Keepalive.Agent.Kubernetes;
using Keepalive.Config;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Kubernetes;

/// <summary>What nodes write to the API about objects.</summary>
[Collection(nameof(KindWatchTests))]
public sealed class EventReporterTests : IDisposable
{
    private static readonly WatchTiming Fast = new() { EventsWithin = TimeSpan.FromMilliseconds(20) };

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

        Eventually.True(() => Posts == 2, TimeSpan.FromSeconds(10));
        Eventually.Remains(() => Posts == 2, TimeSpan.FromMilliseconds(500));
        Assert.Single(_api.Kind("events").Objects);
    }

    [Fact]
    public void Report_LongestName_IsCutToWhatTheServerTakes()
    {
        Node("node-1").Report(Object(new string('p', 253)), Warning("matches nothing"));

        Eventually.True(() => _api.Kind("events").Objects.Count == 1, TimeSpan.FromSeconds(10));
        Assert.InRange(_api.Kind("events").Objects.Keys.Single().Name.Length, 240, 253);
    }

    [Fact]
    public void Report_NotWritten_IsTriedAgain()
    {
        var node = Node("node-1");
        _api.Kind("events").Refusal = 500;
        node.Report(Object("p"), Warning("matches nothing"));
        Eventually.True(() => Posts == 1, TimeSpan.FromSeconds(10));
        _api.Kind("events").Refusal = null;

        Eventually.True(
            () =>
            {
                node.Report(Object("p"), Warning("matches nothing"));   // as with each compilation
                return _api.Kind("events").Objects.Count == 1;
            },
            TimeSpan.FromSeconds(10));
        Assert.Equal(2, Posts);
    }

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
        var connection = new ApiConnection(ApiAccess.Of(_api.Address));
        var reporter = new EventReporter(connection, name, Fast, TimeProvider.System, NullLogger.Instance);
        _running.Add(Task.Run(() => reporter.RunAsync(_stop.Token)));
        _open.AddRange([reporter, connection]);
        return reporter;
    }
}
