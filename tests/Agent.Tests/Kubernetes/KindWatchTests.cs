using System.Buffers;
using System.Collections.Concurrent;
using Keepalive.Agent.Kubernetes;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Keepalive.Agent.Tests.Kubernetes;

/// <summary>One kind of object, on the wire: what a server does, and what it should not do.</summary>
[Collection(nameof(KindWatchTests))]
public sealed class KindWatchTests : IDisposable
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20);

    private static readonly WatchTiming Fast = new()
    {
        StartWithin = TimeSpan.Zero,
        Backoff = TimeSpan.FromMilliseconds(50),
        LongestBackoff = TimeSpan.FromMilliseconds(500),
        GoodAfter = TimeSpan.FromSeconds(1),
        QuietFor = TimeSpan.FromSeconds(2),
        LookForAbsent = TimeSpan.FromSeconds(1),
        GoneAfter = TimeSpan.FromSeconds(1),
        ListChunk = 10,
    };

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
        Eventually.True(() => names.Count == 2 && watch.Knowledge == Knowledge.Known, Soon);
        _api.Apply(ClusterText.Service("shop", "c", "10.96.0.3", 80));
        _api.Delete("services", "shop", "a");
        Eventually.True(() => names.Keys.Order().SequenceEqual(["shop/b", "shop/c"]), Soon);
        Assert.Single(_api.Requests, request => request.Contains("limit=", StringComparison.Ordinal));
    }

    [Fact]
    public void List_InPieces_OneOfThemTooOld_IsWhole()
    {
        _api.ChunksAlways = true;
        _api.ExpiringContinues = 1;
        Fill(35);
        var (_, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 35, Soon);
        Assert.Contains(_api.Requests, request => request.Contains("continue=30", StringComparison.Ordinal));
        Assert.DoesNotContain(_api.Requests, request => request.Contains("continue=", StringComparison.Ordinal) && request.Contains("resourceVersion=", StringComparison.Ordinal));
    }

    [Fact]
    public void List_LargeAndCompressed_IsRead()
    {
        Fill(1000);
        var (_, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 1000, Soon);
    }

    [Fact]
    public void Watch_VersionGone_ListsAgainAndSeesWhatWasDeleted()
    {
        Fill(3);
        var (_, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 3 && _api.Watches == 1, Soon);
        _api.Kind("services").Refusal = 503;
        _api.EndWatches();
        _api.Delete("services", "shop", "s1");
        _api.Compact();
        _api.Kind("services").Refusal = null;
        Eventually.True(() => names.Keys.Order().SequenceEqual(["shop/s0", "shop/s2"]), Soon);
    }

    [Fact]
    public void Watch_EndedByTheServer_GoesOnFromTheBookmarkWithoutListing()
    {
        _api.BookmarkEvery = TimeSpan.FromMilliseconds(200);
        Fill(3);
        var (_, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 3 && _api.Watches == 1, Soon);
        // Another kind moves the version on; only a bookmark tells.
        _api.Apply("""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x"}}""");
        _api.Compact();
        var after = _api.Requests.Count;
        Thread.Sleep(TimeSpan.FromSeconds(1));   // several bookmarks
        _api.EndWatches();
        Eventually.True(() => _api.Requests.Skip(after).Any(request => request.Contains("watch=1", StringComparison.Ordinal)), Soon);
        _api.Apply(ClusterText.Service("shop", "new", "10.96.9.9", 80));
        Eventually.True(() => names.ContainsKey("shop/new"), Soon);
    }

    [Fact]
    public void Watch_GoesSilentWithoutClosing_IsTakenForBroken()
    {
        Fill(1);
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 1 && _api.Watches == 1, Soon);
        _api.Kind("services").IsSilent = true;
        _api.Apply(ClusterText.Service("shop", "unheard", "10.96.9.9", 80));
        Eventually.True(() => watch.Trouble is not null, Soon);
        Assert.Contains("nothing for 2 s", watch.Trouble, StringComparison.Ordinal);
        _api.Kind("services").IsSilent = false;
        Eventually.True(() => names.ContainsKey("shop/unheard") && watch.Trouble is null, Soon);
    }

    /// <summary>It says nothing to who watches from a version that it has not come to yet.</summary>
    [Fact]
    public void Server_SetBackToAnEarlierState_IsFollowedAgain()
    {
        Fill(3);
        var (_, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 3 && _api.Watches == 1, Soon);
        var port = _api.Address.Port;
        _api.Dispose();
        _api = FakeApiServer.Start(port: port, version: 10);
        _api.BookmarkEvery = TimeSpan.FromHours(1);
        _api.Apply(ClusterText.Service("shop", "restored", "10.96.9.9", 80));
        Eventually.True(() => names.Keys.SequenceEqual(["shop/restored"]), Soon);
    }

    [Fact]
    public void List_ThatDoesNotEnd_IsGivenUp()
    {
        Fill(3);
        _api.Kind("services").IsEndless = true;
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => watch.Trouble is not null, Soon);
        Assert.Contains("does not end", watch.Trouble, StringComparison.Ordinal);
        _api.Kind("services").IsEndless = false;
        Eventually.True(() => names.Count == 3 && watch.Trouble is null, Soon);
    }

    [Fact]
    public void Watch_ByteByByte_IsRead()
    {
        _api.Kind("services").IsSlow = true;
        Fill(5);
        var (_, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 5, Soon);
        _api.Apply(ClusterText.Service("shop", "slow", "10.96.9.9", 80));
        Eventually.True(() => names.ContainsKey("shop/slow"), Soon);
    }

    [Theory]
    [InlineData("<html>no</html>")]
    [InlineData("{\"items\":")]
    [InlineData("[]")]
    [InlineData("{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"metadata\":{}}]}")]
    [InlineData("{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[7]}")]
    [InlineData("{}")]
    public void List_Garbage_KeepsWhatWasKnownAndRecovers(string garbage)
    {
        Fill(2);
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 2 && _api.Watches == 1, Soon);
        _api.Kind("services").Garbage = garbage;
        _api.Compact();
        Eventually.True(() => watch.Trouble is not null, Soon);
        Assert.Equal(2, names.Count);
        _api.Kind("services").Garbage = null;
        Eventually.True(() => watch.Trouble is null && names.Count == 2, Soon);
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
    public void Watch_Garbage_KeepsWhatWasKnownAndRecovers(string line)
    {
        Fill(2);
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 2 && _api.Watches == 1, Soon);
        _api.Kind("services").Line = line + "\n";
        _api.EndWatches();
        Eventually.True(() => watch.Trouble is not null, Soon);
        Assert.Equal(2, names.Count);
        _api.Kind("services").Line = null;
        Fill(3);
        Eventually.True(() => watch.Trouble is null && names.Count == 3, Soon);
    }

    /// <summary>However often it is opened: that it was says nothing of what is known, and is not taken for all being well.</summary>
    [Theory]
    [InlineData("{\"type\":\"ERROR\",\"object\":{\"code\":500,\"message\":\"boom\"}}\n")]
    [InlineData("<html>please log in")]
    public void Watch_ThatOnlyFails_ConfirmsNothing(string line)
    {
        Fill(2);
        var (watch, names) = Start(WatchedKind.Services);
        Eventually.True(() => names.Count == 2 && _api.Watches == 1, Soon);
        _api.Kind("services").Line = line;
        _api.EndWatches();
        Eventually.True(() => watch.Trouble is not null, Soon);
        var age = watch.Age;
        Eventually.True(() => watch.Age > age + TimeSpan.FromSeconds(2), notBefore: TimeSpan.FromSeconds(1.9), notAfter: Soon);
        Assert.NotNull(watch.Trouble);
        _api.Kind("services").Line = null;
        Fill(3);
        Eventually.True(() => watch.Trouble is null && names.Count == 3, Soon);
    }

    [Theory]
    [InlineData(401)]
    [InlineData(403)]
    [InlineData(429)]
    [InlineData(500)]
    public void Server_RefusesOneKind_OthersGoOnAndItIsAskedLessAndLess(int status)
    {
        _api.Kind("services").Refusal = status;
        _api.Apply("""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}""");
        var (refused, names) = Start(WatchedKind.Services);
        var (other, namespaces) = Start(WatchedKind.Namespaces);
        Eventually.True(() => refused.Trouble is not null && namespaces.Count == 1, Soon);
        Assert.Equal(Knowledge.None, refused.Knowledge);
        // Of what was never heard of, it is the time since it is wanted.
        var age = refused.Age;
        Assert.InRange(age, TimeSpan.FromTicks(1), Soon);
        Eventually.True(() => refused.Age > age + TimeSpan.FromMilliseconds(100), Soon);
        Assert.Contains("services is refused", refused.Trouble, StringComparison.Ordinal);
        Assert.Null(other.Trouble);
        Fill(1);
        _api.Kind("services").Refusal = null;
        Eventually.True(() => names.Count == 1, Soon);
        // No faster than the backoff lets it: 50 ms doubled each time.
        Assert.InRange(_api.Requests.Count(request => request.Contains("/services", StringComparison.Ordinal)), 2, 60);
    }

    /// <summary>One that has just started does: what it asks for is less than the wait that came of its being away.</summary>
    [Fact]
    public void Server_SaysWhenToAskAgain_IsAskedThen()
    {
        var kind = _api.Kind("services");
        kind.Refusal = 500;
        var (_, names) = Start(WatchedKind.Services, timing: Fast with { Backoff = TimeSpan.FromSeconds(1), LongestBackoff = TimeSpan.FromMinutes(1) });
        Eventually.True(() => Asked() == 2, Soon);
        (kind.Refusal, kind.RetryAfter) = (429, 1);
        Eventually.True(() => Asked() == 3, Soon);
        // A wait doubled each time would be 2, 4, 8 and 16 seconds more, give or take half.
        Eventually.True(() => Asked() == 7, notBefore: TimeSpan.FromSeconds(4), notAfter: TimeSpan.FromSeconds(12));
        Fill(1);
        kind.Refusal = null;
        Eventually.True(() => names.Count == 1, TimeSpan.FromSeconds(4));

        int Asked() => _api.Requests.Count(request => request.Contains("/services", StringComparison.Ordinal));
    }

    [Fact]
    public void Kind_InstalledLater_IsPickedUp()
    {
        var (watch, names) = Start(WatchedKind.DestinationRules);
        Eventually.True(() => watch.Knowledge == Knowledge.Absent, Soon);
        // Every version was asked for.
        Assert.Contains(_api.Requests, request => request.Contains("/v1alpha3/", StringComparison.Ordinal));
        _api.WithIstio("v1beta1");
        _api.Apply("""{"apiVersion":"networking.istio.io/v1beta1","kind":"DestinationRule","metadata":{"name":"r","namespace":"shop"},"spec":{"host":"a"}}""");
        Eventually.True(() => names.Count == 1, Soon);
        _api.Undefine("networking.istio.io", "destinationrules");
        Eventually.True(() => names.IsEmpty && watch.Knowledge == Knowledge.Absent, Soon);
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
        Eventually.True(() => names.Count == 1, Soon);

        // As the kubelet does: the new one is put in the place of the old.
        _api.Token = "second";
        File.WriteAllText(Path.Combine(directory.FullName, "token.next"), "second\n");
        File.Move(Path.Combine(directory.FullName, "token.next"), Path.Combine(directory.FullName, "token"), overwrite: true);
        _api.EndWatches();
        _api.Apply(ClusterText.Service("shop", "new", "10.96.9.9", 80));
        Eventually.True(() => names.ContainsKey("shop/new") && watch.Trouble is null, Soon);
    }

    [Fact]
    public void Tls_AuthorityThatIsNoCertificate_IsTroubleUntilItIsOne()
    {
        _api.Dispose();
        _api = FakeApiServer.Start(tls: true);
        Fill(1);
        var directory = Directory.CreateTempSubdirectory("keepalive-account");
        _open.Add(new Removed(directory));
        var authority = Path.Combine(directory.FullName, "ca.crt");
        File.WriteAllText(authority, "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
        var (watch, names) = Start(WatchedKind.Services, new ApiAccess(_api.Address, null, authority));
        Eventually.True(() => watch.Trouble is not null, Soon);
        File.WriteAllText(authority, _api.AuthorityPem);
        Eventually.True(() => watch.Trouble is null && names.Count == 1, Soon);
    }

    [Fact]
    public void Tls_AnotherAuthority_IsNotTalkedTo()
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
        Eventually.True(() => watch.Trouble is not null, Soon);
        Assert.Empty(_api.Requests);
    }

    public void Dispose()
    {
        _stop.Cancel();
        Task.WaitAll([.. _running], Soon);
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

    private (KindWatch Watch, ConcurrentDictionary<string, string> Names) Start(
        WatchedKind kind, ApiAccess? access = null, WatchTiming? timing = null)
    {
        var connection = new ApiConnection(access ?? ApiAccess.Of(_api.Address));
        var sink = new NameSink();
        var watch = new KindWatch(connection, kind, sink, timing ?? Fast, TimeProvider.System, NullLogger.Instance);
        watch.Want(KindWatch.Selection.All);
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
