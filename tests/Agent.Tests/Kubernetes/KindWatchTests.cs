using System.Buffers;
using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Keepalive.Agent.Kubernetes;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Kubernetes;

/// <summary>Watches of one kind of object over HTTP, with correct and faulty servers.</summary>
[Collection(nameof(KindWatchTests))]
public sealed class KindWatchTests : IDisposable
{
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(20);

    // No delay between requests is as long as one of the limits.
    private static readonly WatchTiming s_timing = new()
    {
        StartWithin = TimeSpan.Zero,
        MaxBackoff = TimeSpan.FromSeconds(15),
        GoodAfter = TimeSpan.FromSeconds(25),
        QuietFor = TimeSpan.FromSeconds(140),
        ListQuietFor = TimeSpan.FromSeconds(35),
        ListChunk = 10,
    };

    /// <summary>Limits that end a request, or after which a watch counts as good.</summary>
    private static readonly TimeSpan[] s_limits = [s_timing.GoodAfter, s_timing.QuietFor, s_timing.ListQuietFor, ApiConnection.AnswerWithin];

    private readonly TestClock _clock = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly List<IDisposable> _open = [];
    private readonly List<Task> _running = [];
    private FakeApiServer _api = FakeApiServer.Start();

    [Fact]
    public void Watch_ObjectsComeChangeAndGo_AreFollowed()
    {
        _api.Apply(ClusterText.Service("shop", "a", "10.96.0.1", 80));
        _api.Apply(ClusterText.Service("shop", "b", "10.96.0.2", 80));
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 2 && watch.Knowledge == Knowledge.Known, s_soon);
        _api.Apply(ClusterText.Service("shop", "c", "10.96.0.3", 80));
        _api.Delete("services", "shop", "a");
        Eventually.True(() => names.Keys.Order().SequenceEqual(["shop/b", "shop/c"]), s_soon);
        Assert.Single(_api.Requests, request => request.Contains("limit=", StringComparison.Ordinal));
    }

    [Fact]
    public void List_InPieces_OneOfThemTooOld_IsWhole()
    {
        _api.ChunksAlways = true;
        _api.ExpiringContinues = 1;
        Fill(35);
        var (_, names) = Start(WatchedKind.Services);
        RetryUntil(() => names.Count == 35);
        Assert.Contains(_api.Requests, request => request.Contains("continue=30", StringComparison.Ordinal));
        Assert.DoesNotContain(_api.Requests, request => request.Contains("continue=", StringComparison.Ordinal) && request.Contains("resourceVersion=", StringComparison.Ordinal));
    }

    [Fact]
    public void List_LargeAndCompressed_IsRead()
    {
        Fill(1000);
        var (_, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 1000, s_soon);
    }

    [Fact]
    public void Watch_VersionGone_ListsAgainAndRemovesDeletedObjects()
    {
        Fill(3);
        var (_, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 3 && _api.Watches == 1, s_soon);
        _api.Kind("services").Refusal = 503;
        _api.EndWatches();
        _api.Delete("services", "shop", "s1");
        _api.Compact();
        _api.Kind("services").Refusal = null;
        RetryUntil(() => names.Keys.Order().SequenceEqual(["shop/s0", "shop/s2"]));
    }

    /// <summary>A proxy that answers with something else than the API server must not make objects disappear.</summary>
    [Fact]
    public void List_WithoutAVersion_KeepsTheKnownObjects()
    {
        Fill(3);
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 3 && _api.Watches == 1, s_soon);
        _api.Kind("services").Refusal = 410;
        _api.EndWatches();
        // The list is too old again and again: that is a problem, and said.
        RetryUntil(() => watch.Trouble is not null);
        Assert.Contains("410 Gone", watch.Trouble, StringComparison.Ordinal);
        _api.Kind("services").Garbage = """{"kind":"ServiceList","apiVersion":"v1","metadata":{},"items":null}""";
        _api.Kind("services").Refusal = null;
        RetryUntil(() => watch.Trouble!.Contains("a list without a version", StringComparison.Ordinal));
        Assert.Equal((3, Knowledge.Known), (names.Count, watch.Knowledge));
    }

    [Fact]
    public void List_StopsInTheMiddle_IsRequestedAgainSoonerThanAWatch()
    {
        Fill(3);
        _api.Kind("services").IsHalf = true;
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => _clock.Waits.Contains(s_timing.ListQuietFor) && _api.Requests.Count == 1, s_soon);
        _clock.Advance(s_timing.ListQuietFor);
        Eventually.True(() => watch.Trouble is not null, s_soon);
        Assert.Contains("nothing for 35 s", watch.Trouble, StringComparison.Ordinal);
        _api.Kind("services").IsHalf = false;
        RetryUntil(() => names.Count == 3);
    }

    /// <summary>A server that starts does not know all of its kinds yet; the objects that an earlier agent has kept stay, until a definition is
    /// missing.</summary>
    [Fact]
    public void Kept_ServerDoesNotHaveTheKind_AreKeptUntilItsDefinitionIsMissing()
    {
        _api.WithGloo();
        _api.Kind("connectionpolicies").Refusal = 503;
        var (watch, _) = Start(WatchedKind.ConnectionPolicies);
        watch.Keep(_clock.GetUtcNow());
        Eventually.True(() => watch.Trouble is not null, s_soon);
        _api.Kind("connectionpolicies").Refusal = 404;
        RetryUntil(() => watch.Trouble == "the server no longer has this kind");
        Assert.NotNull(watch.KeptAt);
        watch.NotDefined();
        Eventually.True(() => watch.Knowledge == Knowledge.Absent, s_soon);
    }

    [Fact]
    public void Watch_EndedByTheServer_ContinuesFromTheBookmarkWithoutListing()
    {
        _api.BookmarkEvery = TimeSpan.FromMilliseconds(50);
        Fill(3);
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 3 && _api.Watches == 1, s_soon);
        // An object of another kind advances the version; only a bookmark shows that.
        _api.Apply("""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x"}}""");
        _api.Compact();
        var (asked, bookmarks) = (_api.Requests.Count, _api.Bookmarks);
        Eventually.True(() => _api.Bookmarks >= bookmarks + 2, s_soon);
        _clock.Advance(s_timing.GoodAfter);
        _api.EndWatches();
        // After a long watch the next one starts immediately.
        Eventually.True(() => _api.Requests.Skip(asked).Any(request => request.Contains("watch=1", StringComparison.Ordinal)), s_soon);
        _api.Apply(ClusterText.Service("shop", "new", "10.96.9.9", 80));
        Eventually.True(() => names.ContainsKey("shop/new"), s_soon);
        Assert.All(_api.Requests.Skip(asked), request => Assert.Contains("watch=1", request, StringComparison.Ordinal));
        Assert.Null(watch.Trouble);
    }

    /// <summary>A proxy that accepts a watch and closes the connection must not be asked again without a delay.</summary>
    [Fact]
    public void Watch_EndedSoonByTheServer_IsOpenedAgainAfterAWait()
    {
        Fill(3);
        var (_, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 3 && IsWatching, s_soon);
        var asked = _api.Requests.Count;
        _clock.Advance(s_timing.GoodAfter - TimeSpan.FromTicks(1));
        _api.EndWatches();
        var wait = NextRetry();
        Assert.Equal(asked + 1, _api.Requests.Count);
        Assert.InRange(wait, s_timing.Backoff * 0.5, s_timing.Backoff * 1.5);
    }

    [Fact]
    public void Watch_SilentWithoutClosing_IsOpenedAgain()
    {
        Fill(1);
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 1 && IsWatching, s_soon);
        _api.Kind("services").IsSilent = true;
        _api.Apply(ClusterText.Service("shop", "unheard", "10.96.9.9", 80));
        _clock.Advance(s_timing.QuietFor - TimeSpan.FromTicks(1));
        Assert.Null(watch.Trouble);
        _clock.Advance(TimeSpan.FromTicks(1));
        Eventually.True(() => watch.Trouble is not null, s_soon);
        Assert.Contains("nothing for 140 s", watch.Trouble, StringComparison.Ordinal);
        _api.Kind("services").IsSilent = false;
        RetryUntil(() => names.ContainsKey("shop/unheard"));
        Recovers(watch);
    }

    /// <summary>An answer that never begins.</summary>
    [Fact]
    public void Server_DoesNotAnswer_IsReportedUntilItDoes()
    {
        _api.Kind("services").IsStuck = true;
        Fill(1);
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => !_api.Requests.IsEmpty, s_soon);
        _clock.Advance(ApiConnection.AnswerWithin);
        Eventually.True(() => watch.Trouble is not null, s_soon);
        Assert.Contains("did not answer within 30 s", watch.Trouble, StringComparison.Ordinal);
        _api.Kind("services").IsStuck = false;
        RetryUntil(() => names.Count == 1);
        Recovers(watch);
    }

    /// <summary>The server sends nothing to a watch from a version that it has not reached.</summary>
    [Fact]
    public void Server_SetBackToAnEarlierState_IsFollowedAgain()
    {
        Fill(3);
        var (_, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 3 && _api.Watches == 1, s_soon);
        var port = _api.Address.Port;
        _api.Dispose();
        _api = FakeApiServer.Start(port: port, version: 10);
        _api.BookmarkEvery = TimeSpan.FromHours(1);
        _api.Apply(ClusterText.Service("shop", "restored", "10.96.9.9", 80));
        // The watch continues from a version that the server has not reached: nothing is received.
        RetryUntil(() => IsWatching);
        Assert.Equal(3, names.Count);
        _clock.Advance(s_timing.QuietFor);
        RetryUntil(() => names.Keys.SequenceEqual(["shop/restored"]));
    }

    [Fact]
    public void List_Endless_IsAborted()
    {
        Fill(3);
        _api.Kind("services").IsEndless = true;
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => watch.Trouble is not null, s_soon);
        Assert.Contains("does not end", watch.Trouble, StringComparison.Ordinal);
        _api.Kind("services").IsEndless = false;
        RetryUntil(() => names.Count == 3);
        Recovers(watch);
    }

    [Fact]
    public void Watch_ByteByByte_IsRead()
    {
        _api.Kind("services").IsSlow = true;
        Fill(2);
        var (_, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 2, s_soon);
        _api.Apply(ClusterText.Service("shop", "slow", "10.96.9.9", 80));
        Eventually.True(() => names.ContainsKey("shop/slow"), s_soon);
    }

    [Theory]
    [InlineData("<html>no</html>")]
    [InlineData("{\"items\":")]
    [InlineData("[]")]
    [InlineData("{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"metadata\":{}}]}")]
    [InlineData("{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[7]}")]
    [InlineData("{}")]
    public void List_Garbage_KeepsKnownObjectsAndRecovers(string garbage)
    {
        Fill(2);
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 2 && IsWatching, s_soon);
        _api.Kind("services").Garbage = garbage;
        _api.Compact();
        _clock.Advance(s_timing.QuietFor);   // the list is requested again
        RetryUntil(() => watch.Trouble is { } trouble && !trouble.Contains("nothing for", StringComparison.Ordinal));
        Assert.Equal(2, names.Count);
        _api.Kind("services").Garbage = null;
        RetryUntil(() => IsWatching);
        Recovers(watch);
        Assert.Equal(2, names.Count);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("7")]
    [InlineData("{}")]
    [InlineData("{\"type\":5,\"object\":{}}")]
    [InlineData("{\"type\":\"ADDED\"}")]
    [InlineData("{\"type\":\"\\ud800\",\"object\":{}}")]
    [InlineData("{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":7}}}")]
    [InlineData("{\"type\":\"DELETED\",\"object\":{\"metadata\":null}}")]
    [InlineData("{\"type\":\"ERROR\",\"object\":{\"code\":\"x\"}}")]
    public void Watch_Garbage_KeepsKnownObjectsAndRecovers(string line)
    {
        Fill(2);
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 2 && _api.Watches == 1, s_soon);
        _api.Kind("services").Line = line + "\n";
        _api.EndWatches();
        RetryUntil(() => watch.Trouble is not null);
        Assert.Equal(2, names.Count);
        _api.Kind("services").Line = null;
        Fill(3);
        RetryUntil(() => names.Count == 3);
        Recovers(watch);
    }

    /// <summary>A repeatedly opened watch that fails confirms nothing about the known objects and is not reported as healthy.</summary>
    [Theory]
    [InlineData("{\"type\":\"ERROR\",\"object\":{\"code\":500,\"message\":\"boom\"}}\n")]
    [InlineData("<html>please log in")]
    public void Watch_FailsRepeatedly_ConfirmsNothing(string line)
    {
        Fill(2);
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 2 && IsWatching, s_soon);
        _api.Kind("services").Line = line;
        _api.EndWatches();
        RetryUntil(() => watch.Trouble is not null);
        for (var retry = 0; retry < 10; retry++)
        {
            var age = watch.Age;
            var wait = NextRetry();
            Assert.Equal(age + wait, watch.Age);
            Assert.NotNull(watch.Trouble);
        }
        _api.Kind("services").Line = null;
        Fill(3);
        RetryUntil(() => names.Count == 3);
        Recovers(watch);
    }

    [Theory]
    [InlineData(401)]
    [InlineData(403)]
    [InlineData(429)]
    [InlineData(500)]
    public void Server_RefusesOneKind_OthersContinueAndItsRetriesBackOff(int status)
    {
        _api.Kind("services").Refusal = status;
        _api.Apply("""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}""");
        var (refused, names) = Start(WatchedKind.Services);
        var (other, namespaces) = Start(WatchedKind.Namespaces);
        Eventually.True(() => refused.Trouble is not null && namespaces.Count == 1, s_soon);
        Assert.Equal(Knowledge.None, refused.Knowledge);
        Assert.Contains("services is refused", refused.Trouble, StringComparison.Ordinal);
        Assert.Null(other.Trouble);
        // One second, doubled each time up to the longest delay, ± 50 %. The age of a kind that was never received counts from its first
        // request.
        var age = TimeSpan.Zero;
        for (var retry = 0; retry < 9; retry++)
        {
            var nominal = TimeSpan.FromSeconds(Math.Min(1 << retry, s_timing.MaxBackoff.TotalSeconds));
            var wait = NextRetry();
            Assert.InRange(wait, nominal * 0.5, nominal * 1.5);
            Assert.Equal(age += wait, refused.Age);
        }
        Fill(1);
        _api.Kind("services").Refusal = null;
        RetryUntil(() => names.Count == 1);
    }

    /// <summary>A server that has just started asks for a delay that is shorter than the backoff.</summary>
    [Fact]
    public void Server_SendsRetryAfter_IsAskedThen()
    {
        var kind = _api.Kind("services");
        kind.Refusal = 500;
        var (_, names) = Start(WatchedKind.Services);
        for (var retry = 0; retry < 4; retry++)
        {
            NextRetry();
        }
        // The doubled delay has reached its maximum.
        (kind.Refusal, kind.RetryAfter) = (429, 1);
        Assert.InRange(NextRetry(), s_timing.MaxBackoff * 0.5, s_timing.MaxBackoff * 1.5);
        for (var retry = 0; retry < 10; retry++)
        {
            Assert.InRange(NextRetry(), TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2));
        }
        // This has an upper limit.
        Assert.InRange(NextRetry(), s_timing.MaxBackoff * 0.5, s_timing.MaxBackoff * 1.5);
        Fill(1);
        kind.Refusal = null;
        RetryUntil(() => names.Count == 1);
    }

    [Fact]
    public void Kind_InstalledLater_IsWatched()
    {
        var (watch, names) = Start(WatchedKind.DestinationRules);
        Eventually.True(() => watch.Knowledge == Knowledge.Absent, s_soon);
        // Every version was requested.
        Assert.Contains(_api.Requests, request => request.Contains("/v1alpha3/", StringComparison.Ordinal));
        _api.WithIstio("v1beta1");
        _api.Apply("""{"apiVersion":"networking.istio.io/v1beta1","kind":"DestinationRule","metadata":{"name":"r","namespace":"shop"},"spec":{"host":"a"}}""");
        var wait = NextRetry();
        Assert.InRange(wait, s_timing.LookForAbsent * 0.5, s_timing.LookForAbsent * 1.5);
        Eventually.True(() => names.Count == 1, s_soon);
        _api.Undefine("networking.istio.io", "destinationrules");
        // A starting server does not know all of its kinds yet: nothing is dropped for two minutes.
        RetryUntil(() => watch.Trouble is not null);
        var missing = _clock.GetUtcNow();
        RetryUntil(() => names.IsEmpty && watch.Knowledge == Knowledge.Absent);
        Assert.InRange(_clock.GetUtcNow() - missing, s_timing.GoneAfter, s_timing.GoneAfter + (s_timing.MaxBackoff * 1.5));
    }

    [Fact]
    public void Tls_OwnAuthorityAndRotatingToken_AreFollowed()
    {
        _api.Dispose();
        _api = FakeApiServer.Start(tls: true);
        _api.Token = "first";
        Fill(1);
        var directory = Directory.CreateTempSubdirectory("keepalive-account");
        _open.Add(new Removed(directory));
        File.WriteAllText(Path.Combine(directory.FullName, "token"), "first\n");
        File.WriteAllText(Path.Combine(directory.FullName, "ca.crt"), _api.AuthorityPem);
        var access = ApiAccess.InCluster(
            name => name switch { "KUBERNETES_SERVICE_HOST" => "127.0.0.1", "KUBERNETES_SERVICE_PORT" => $"{_api.Address.Port}", _ => null }, directory.FullName);
        var (watch, names) = Start(WatchedKind.Services, access);
        Eventually.True(() => names.Count == 1, s_soon);

        // As the kubelet does: the new token replaces the old one.
        _api.Token = "second";
        File.WriteAllText(Path.Combine(directory.FullName, "token.next"), "second\n");
        File.Move(Path.Combine(directory.FullName, "token.next"), Path.Combine(directory.FullName, "token"), overwrite: true);
        _api.EndWatches();
        _api.Apply(ClusterText.Service("shop", "new", "10.96.9.9", 80));
        RetryUntil(() => names.ContainsKey("shop/new"));
        Assert.Null(watch.Trouble);
    }

    [Fact]
    public void Tls_AuthorityIsNoCertificate_IsReportedUntilItIsOne()
    {
        _api.Dispose();
        _api = FakeApiServer.Start(tls: true);
        Fill(1);
        var directory = Directory.CreateTempSubdirectory("keepalive-account");
        _open.Add(new Removed(directory));
        var authority = Path.Combine(directory.FullName, "ca.crt");
        File.WriteAllText(authority, "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
        var (watch, names) = Start(WatchedKind.Services, new ApiAccess(_api.Address, null, authority));
        Eventually.True(() => watch.Trouble is not null, s_soon);
        File.WriteAllText(authority, _api.AuthorityPem);
        RetryUntil(() => names.Count == 1);
        Recovers(watch);
    }

    [Fact]
    public void Tls_AnotherAuthority_IsRefused()
    {
        _api.Dispose();
        _api = FakeApiServer.Start(tls: true);
        using var other = FakeApiServer.Start(tls: true);
        var directory = Directory.CreateTempSubdirectory("keepalive-account");
        _open.Add(new Removed(directory));
        File.WriteAllText(Path.Combine(directory.FullName, "token"), "secret");
        File.WriteAllText(Path.Combine(directory.FullName, "ca.crt"), other.AuthorityPem);
        var (watch, _) = Start(WatchedKind.Services, new ApiAccess(
            _api.Address, Path.Combine(directory.FullName, "token"), Path.Combine(directory.FullName, "ca.crt")));
        Eventually.True(() => watch.Trouble is not null, s_soon);
        Assert.Empty(_api.Requests);
    }

    public void Dispose()
    {
        _stop.Cancel();
        Task.WaitAll([.. _running], s_soon);
        _open.ForEach(one => one.Dispose());
        _api.Dispose();
        _stop.Dispose();
    }

    private void Fill(int count)
    {
        for (var i = 0; i < count; i++)
        {
            _api.Apply(ClusterText.Service("shop", $"s{i}", $"10.96.{i >> 8}.{i & 255}", 80));
        }
    }

    /// <summary>Whether a watch is open at both ends and its timeout for silence runs.</summary>
    private bool IsWatching => _api.Watches == 1 && _clock.Waits.Contains(s_timing.QuietFor);

    /// <summary>Waits for a condition and ends each delay before a request immediately.</summary>
    private void RetryUntil(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string what = "") => Eventually.True(
        () =>
        {
            if (condition())
            {
                return true;
            }
            _clock.PassWait(s_limits);
            return false;
        },
        s_soon,
        what: what);

    /// <summary>Ends the next delay before a request and returns its length once the request has arrived.</summary>
    private TimeSpan NextRetry()
    {
        var asked = 0;
        TimeSpan? wait = null;
        Eventually.True(
            () =>
            {
                asked = _api.Requests.Count;
                return (wait = _clock.PassWait(s_limits)) is not null;
            },
            s_soon);
        Eventually.True(() => _api.Requests.Count > asked, s_soon);
        return wait!.Value;
    }

    /// <summary>A watch that stays open for a while is healthy, with or without events.</summary>
    private void Recovers(KindWatch watch)
    {
        RetryUntil(() => watch.Trouble is null || _clock.Waits.Contains(s_timing.GoodAfter));
        _clock.Advance(s_timing.GoodAfter);
        Eventually.True(() => watch.Trouble is null, s_soon);
    }

    private (KindWatch Watch, ConcurrentDictionary<string, string> Names) Start(WatchedKind kind, ApiAccess? access = null)
    {
        var connection = new ApiConnection(access ?? ApiAccess.Of(_api.Address), _clock);
        var sink = new NameSink();
        var watch = new KindWatch(connection, kind, sink, s_timing, _clock, NullLogger.Instance);
        watch.Want(KindSelection.All);
        _running.Add(Task.Run(() => watch.RunAsync(_stop.Token)));
        _open.AddRange([watch, connection]);
        return (watch, sink.Names);
    }

    private sealed class NameSink : IObjectSink
    {
        private HashSet<string> _listed = [];

        public ConcurrentDictionary<string, string> Names { get; } = new();

        public void BeginList() => _listed = [];

        public void Take(ApiMetadata head, string apiVersion, in ReadOnlySequence<byte> json)
        {
            var name = head.Namespace is null ? head.Name! : $"{head.Namespace}/{head.Name}";
            _listed.Add(name);
            Names[name] = apiVersion;
        }

        public void EndList()
        {
            foreach (var gone in Names.Keys.Except(_listed))
            {
                Names.TryRemove(gone, out _);
            }
        }

        public void Remove(ApiMetadata head) => Names.TryRemove($"{head.Namespace}/{head.Name}", out _);

        public void Clear() => Names.Clear();
    }

    private sealed class Removed(DirectoryInfo directory) : IDisposable
    {
        public void Dispose() => directory.Delete(recursive: true);
    }
}
