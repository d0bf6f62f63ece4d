using System.Diagnostics;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Policies;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Connections that are set on establishment, by programs at a cgroup of the test's own.</summary>
[Collection(Datapaths.Kernels)]
public sealed class AttachedTests : IDisposable
{
    private const string Elsewhere = "10.77.9.9";

    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);

    private readonly TestCgroup _cgroup;
    private readonly Lab _lab;
    private readonly Rig _rig;
    private readonly int _port;

    public AttachedTests()
    {
        Datapaths.RequireBpf();
        _cgroup = new TestCgroup();
        _lab = new Lab();
        _lab.AddServerAddress(Elsewhere);
        _cgroup.Add(_lab.Client.Pid);
        _cgroup.Add(_lab.Server.Pid);
        _port = _lab.Server.Listen();
        _rig = new Rig(_lab.Client.NetnsPath, Datapaths.AttachedBpf(_cgroup.Path)) { Policy = Rig.PolicyFor($"{Lab.ServerAddress}, \"{Lab.ServerAddress6}\"", PolicyText.GuideValues) };
        _rig.Pass();
    }

    [Theory]
    [InlineData(Lab.ServerAddress)]
    [InlineData(Lab.ServerAddress6)]
    [InlineData(Lab.ServerAddressMapped)]
    public void Connect_ToDestination_HasThePolicysValuesWithoutAPass(string address)
    {
        var id = _lab.Client.Connect(address, _port);
        Assert.Equal(s_guide, _lab.Client.Get(id));
        var seen = Ss.Read(_lab.Client, id);
        Assert.Equal("keepalive", seen.Timer);
        Assert.InRange(seen.TimeLeft.TotalSeconds, 640, 701);
        Assert.Equal(s_untouched, _lab.Client.Get(_lab.Client.Connect(Elsewhere, _port)));

        // The pass reports it once and notes its original values.
        _rig.Pass();
        var record = _rig.All.Single(r => r.Cookie == _lab.Client.Cookie(id) && r.Changed);
        Assert.Equal(new KeepaliveOptions(false, 7200, 75, 9), record.Replaced);
        Assert.Equal(new KeepaliveOptions(true, 700, 10, 20), record.Current);
        Assert.Equal("bookinfo/tcp-keepalive", record.Rule?.Policy);
        Assert.Equal(SocketOutcome.Managed, _rig.Records[_lab.Client.Cookie(id)].Outcome);
        _rig.Pass(new PassScope { Full = true });
        Assert.DoesNotContain(_rig.All, r => r.Changed);
    }

    [Fact]
    public void Connect_SetAtOnce_IsReportedWithItsWorkload()
    {
        using var scope = new TestCgroup(".scope");
        using var attached = new Rig(_lab.Server.NetnsPath, Datapaths.AttachedBpf(scope.Path)) { Policy = Rig.PolicyFor(Lab.ClientAddress, PolicyText.GuideValues) };
        var port = _lab.Client.Listen();
        attached.Pass();
        using var client = _lab.Server.StartBesideAs(61001);
        scope.Add(client.Pid);
        var id = client.Connect(Lab.ClientAddress, port);
        Assert.Equal(s_guide, client.Get(id));
        var cookie = client.Cookie(id);
        client.Abort(id);   // gone before the pass: only the ring buffer reports it
        attached.Pass();
        Assert.Equal($"unit:{scope.Name}", attached.Records[cookie].Workload);
    }

    /// <summary>As the service does at its start: a dry run for the liveness of existing connections. The log and the metrics do not get
    /// its records.</summary>
    [Fact]
    public void Connect_AfterADryRun_IsSetAndReportedByTheFirstRealPass()
    {
        _rig.Restart();
        _rig.Pass(new PassScope { Full = true, DryRun = true });
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(s_untouched, _lab.Client.Get(id));
        _rig.Pass();
        Assert.Equal(s_guide, _lab.Client.Get(id));
        Assert.Single(_rig.All, r => r.Cookie == _lab.Client.Cookie(id) && r.Changed);
    }

    [Fact]
    public async Task Connect_PassDuringTheHandshake_IsManagedAndReported()
    {
        _lab.BlackHole();
        var connecting = Task.Run(() => _lab.Client.Connect(Lab.ServerAddress, _port), TestContext.Current.CancellationToken);
        Eventually.True(
            () =>
            {
                _rig.Pass(new PassScope { Full = true });
                return _rig.All.Any(r => r.State == TcpState.SynSent);
            },
            TimeSpan.FromSeconds(5));
        _lab.Restore();
        var id = await connecting;
        Assert.Equal(s_guide, _lab.Client.Get(id));
        _rig.Pass();
        Assert.Equal(SocketOutcome.Managed, _rig.Records[_lab.Client.Cookie(id)].Outcome);
        Assert.Single(_rig.All, r => r.Cookie == _lab.Client.Cookie(id) && r.Changed);
        _rig.Policy = PolicySnapshot.Empty;
        _rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal(s_untouched, _lab.Client.Get(id));
    }

    [Fact]
    public void Connect_IdleSinceItsFirstMoment_IsProbedAfterThePolicysTime()
    {
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, "time: 2s, interval: 1s, probes: 5");
        _rig.Pass();
        using var capture = new TcpdumpCapture(_lab.Server, Lab.ServerInterface, $"tcp port {_port}");
        var clock = Stopwatch.StartNew();
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        var local = _lab.Client.LocalEndPoint(id);
        // Two seconds, the timer wheel's lateness, and slack for a busy machine. The last segment of the handshake has no SYN either.
        Eventually.True(
            () => capture.Segments.Count(s => s.Source.Port == local.Port && s.Flags == "." && s.Length == 0) >= 2,
            TimeSpan.FromSeconds(4));
        Assert.InRange(clock.Elapsed.TotalSeconds, 1.9, 4.5);
    }

    [Fact]
    public void Restore_SetOnEstablishmentAndNoPassSince_IsRestored()
    {
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal(s_guide, _lab.Client.Get(id));
        _rig.Policy = PolicySnapshot.Empty;
        _rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal(s_untouched, _lab.Client.Get(id));
        Assert.Equal(s_untouched, _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)));
    }

    [Theory]
    [InlineData("tighten", 30, false, true, 30, 75, 9)]
    [InlineData("tighten", 1000, false, true, 700, 10, 20)]
    [InlineData("tighten", null, true, true, 700, 10, 20)]
    [InlineData("replace", 30, true, true, 700, 10, 20)]
    [InlineData("keep", 30, true, true, 30, 75, 9)]
    [InlineData("keep", null, true, true, 7200, 75, 9)]
    public void FirstPass_ApplicationSetValuesAfterConnecting_AreItsOriginals(
        string existing, int? idle, bool switchesOnFirst, bool on, int time, int interval, int count)
    {
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues, existing);
        _rig.Pass();
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        if (switchesOnFirst)
        {
            _lab.Client.Set(id, HolderOption.Keepalive, 1);
        }
        if (idle is { } seconds)
        {
            _lab.Client.Set(id, HolderOption.Idle, seconds);
        }
        if (!switchesOnFirst)
        {
            _lab.Client.Set(id, HolderOption.Keepalive, 1);
        }
        _rig.Pass();
        Assert.Equal(new KeepaliveValues(on, time, interval, count), _lab.Client.Get(id));

        // The agent restores the values that the application set.
        _rig.Policy = PolicySnapshot.Empty;
        _rig.Pass(new PassScope { Full = true, Last = true });
        Assert.Equal(new KeepaliveValues(true, idle ?? 7200, 75, 9), _lab.Client.Get(id));
    }

    // The guide's probes take 900 s.
    [Theory]
    [InlineData("keep", 3_000, true, true, 3_000)]
    [InlineData("raise", 0, true, true, 0)]
    [InlineData("raise", 3_000, false, true, 900_000)]
    [InlineData("skip", 0, false, true, 0)]
    [InlineData("skip", 3_000, false, false, 3_000)]
    [InlineData("30s", 0, true, true, 30_000)]
    [InlineData("30s", 3_000, false, true, 30_000)]
    public void Connect_UserTimeoutBefore_IsSetAtOnceOnlyIfItStays(string choice, int before, bool atOnce, bool isSet, int after)
    {
        SetUserTimeout(choice);
        _lab.Client.ConnectWithUserTimeout(before);
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal((atOnce ? s_guide : s_untouched, before), (_lab.Client.Get(id), _lab.Client.GetUserTimeout(id)));
        _rig.Pass();
        Assert.Equal((isSet ? s_guide : s_untouched, after), (_lab.Client.Get(id), _lab.Client.GetUserTimeout(id)));
        Restore();
        Assert.Equal((s_untouched, before), (_lab.Client.Get(id), _lab.Client.GetUserTimeout(id)));
    }

    [Theory]
    [InlineData("keep", true, 3_000)]
    [InlineData("raise", true, 900_000)]
    [InlineData("skip", false, 3_000)]
    [InlineData("30s", true, 30_000)]
    public void FirstPass_ApplicationSetItsUserTimeoutAfterConnecting_IsJudgedByThePass(string choice, bool isSet, int after)
    {
        SetUserTimeout(choice);
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        _lab.Client.Set(id, HolderOption.UserTimeoutMilliseconds, 3_000);
        _rig.Pass();
        Assert.Equal((isSet ? s_guide : s_untouched, after), (_lab.Client.Get(id), _lab.Client.GetUserTimeout(id)));
        Restore();
        Assert.Equal((s_untouched, 3_000), (_lab.Client.Get(id), _lab.Client.GetUserTimeout(id)));
    }

    [Fact]
    public void Killed_BeforeTheFirstPass_TheUserTimeoutIsRestoredByTheNext()
    {
        SetUserTimeout("30s");
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal((s_guide, 0), (_lab.Client.Get(id), _lab.Client.GetUserTimeout(id)));
        _rig.Restart();
        _rig.Pass(new PassScope { Full = true });
        Assert.Equal((s_guide, 30_000), (_lab.Client.Get(id), _lab.Client.GetUserTimeout(id)));
        _rig.Restart();
        Restore();
        Assert.Equal((s_untouched, 0), (_lab.Client.Get(id), _lab.Client.GetUserTimeout(id)));
    }

    [Fact]
    public void Connect_NamespaceExcluded_IsNotChanged()
    {
        // The rig does not look at the server's namespace. The server's processes are in the cgroup, too.
        var port = _lab.Client.Listen();
        _rig.Policy = Rig.PolicyFor($"{Lab.ServerAddress}, {Lab.ClientAddress}", PolicyText.GuideValues);
        _rig.Pass();
        Assert.Equal(s_untouched, _lab.Server.Get(_lab.Server.Connect(Lab.ClientAddress, port)));
        Assert.Equal(s_guide, _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)));
    }

    [Fact]
    public void Connect_SideBoth_AcceptedSocketsAreSetAtOnce()
    {
        using var kernel = KernelPrograms.Load();
        using var server = new Rig(
            _lab.Server.NetnsPath,
            (only, known, state) => new BpfDatapath(Datapaths.Options(only, known, state), kernel, _cgroup.Path));
        server.Policy = Rig.PolicyFor(Lab.ServerAddress, "time: 500s", side: Side.Both);
        server.Pass();
        _lab.Client.Connect(Lab.ServerAddress, _port);
        Eventually.True(() => _lab.Server.Count().Accepted == 1, TimeSpan.FromSeconds(5));
        Assert.Equal(new KeepaliveValues(true, 500, 75, 9), _lab.Server.Get(SocketId.Accepted(0)));
    }

    [Fact]
    public void Connect_TenThousandASecond_AllAreSetAndCounted()
    {
        const int connections = 20_000;
        var shortLived = _lab.Client.ConnectShort(Lab.ServerAddress, _port, connections);
        Assert.Equal([new(s_guide, connections)], shortLived.Seen);
        // An idle machine makes far more than ten thousand a second; this one may be busy.
        Assert.InRange(connections / shortLived.Took.TotalSeconds, 2_000, 1_000_000);
        _rig.Pass();
        Assert.Equal(connections, _rig.All.Count(r => r.Changed));
        Assert.All(_rig.All.Where(r => r.Changed), r => Assert.Equal(new KeepaliveOptions(false, 7200, 75, 9), r.Replaced));

        // More than the ring can hold: the rest is counted as lost, and was set all the same.
        const int tooMany = 70_000;
        Assert.Equal([new(s_guide, tooMany)], _lab.Client.ConnectShort(Lab.ServerAddress, _port, tooMany).Seen);
        var last = _lab.Client.Connect(Lab.ServerAddress, _port);
        _lab.Client.Set(last, HolderOption.Idle, 1000);
        var lost = _rig.Pass().Lost;
        Assert.InRange(lost, 1, tooMany);
        // The open connection is among the lost ones. The dump of its namespace reported it, with the value that the application had set.
        Assert.Equal(tooMany + 1 - lost + 2, _rig.All.Count(r => r.Changed));
        Assert.Equal(new KeepaliveOptions(false, 1000, 75, 9), _rig.Records[_lab.Client.Cookie(last)].Found);
        Assert.Equal(
            [new KeepaliveOptions(false, 1000, 75, 9), new KeepaliveOptions(true, 1000, 10, 20)],
            _rig.All.Where(r => r.Cookie == _lab.Client.Cookie(last) && r.Changed).Select(r => r.Replaced!.Value));
        Assert.DoesNotContain(_rig.AllOfNextPass(), r => r.Changed);
    }

    [Theory]
    [InlineData(null, null, 1)]
    [InlineData(nameof(HolderOption.Keepalive), 1, 1)]
    [InlineData(nameof(HolderOption.Idle), 700, 1)]
    [InlineData(nameof(HolderOption.Idle), 1000, 2)]
    [InlineData(nameof(HolderOption.Interval), 30, 2)]
    [InlineData(nameof(HolderOption.Keepalive), 0, 2)]
    public void Changes_ApplicationWritesAfterConnecting_AreReportedOnceEach(string? option, int? value, int changes)
    {
        var id = _lab.Client.Connect(Lab.ServerAddress, _port);
        if (option is not null)
        {
            _lab.Client.Set(id, Enum.Parse<HolderOption>(option), value!.Value);
        }
        var written = _lab.Client.Get(id);
        _rig.Pass();
        Assert.Equal(s_guide, _lab.Client.Get(id));
        // The changes in order: on establishment, and again only if the application has written other values since.
        (KeepaliveValues, KeepaliveValues)[] expected = written == s_guide ? [(s_untouched, s_guide)] : [(s_untouched, s_guide), (written, s_guide)];
        Assert.Equal(changes, expected.Length);
        Assert.Equal(expected, _rig.All.Where(r => r.Cookie == _lab.Client.Cookie(id) && r.Changed).Select(r => (Values(r.Replaced), Values(r.Current))));
        Assert.DoesNotContain(_rig.AllOfNextPass(), r => r.Changed);
    }

    [Fact]
    public async Task Policy_SwappedUnderLoad_NoSocketHasAMixture()
    {
        const int swaps = 1000;
        PolicySnapshot[] policies =
        [
            Rig.PolicyFor(Lab.ServerAddress, "time: 100s, interval: 11s, probes: 3"),
            Rig.PolicyFor(Lab.ServerAddress, "time: 200s, interval: 22s, probes: 4"),
            // One policy has an exact port and the other none: a mixture of both would apply the wrong rule, or none.
            Rig.PolicyFor($"{Lab.ServerAddress}, 0.0.0.0/0", "time: 300s, interval: 33s, probes: 5"),
        ];
        using var kernel = KernelPrograms.Load();
        using var slot = new KernelPolicy(kernel.Policy);
        using var other = new TestCgroup();
        using var client = _lab.Client.StartBeside();
        other.Add(client.Pid);
        slot.Replace(policies[0]);
        kernel.SettingsMap.Update(0u, CgroupPrograms.Signed(default));
        using var attached = new CgroupPrograms(kernel, other.Path);
        var seen = new Dictionary<KeepaliveValues, int>();
        using var stop = new CancellationTokenSource();
        using var begun = new ManualResetEventSlim();
        var load = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                foreach (var (values, count) in client.ConnectShort(Lab.ServerAddress, _port, 500).Seen)
                {
                    seen[values] = seen.GetValueOrDefault(values) + count;
                }
                begun.Set();
            }
        });
        Assert.True(begun.Wait(TimeSpan.FromSeconds(10)));
        for (var i = 1; i <= swaps; i++)
        {
            slot.Replace(policies[i % policies.Length]);
        }
        await stop.CancelAsync();
        await load;
        KeepaliveValues[] whole = [new(true, 100, 11, 3), new(true, 200, 22, 4), new(true, 300, 33, 5)];
        Assert.Empty(seen.Keys.Except(whole));
        Assert.Equal(3, seen.Count);
        Assert.True(seen.Values.Sum() > swaps, $"{seen.Values.Sum()} connections");
    }

    [Fact]
    public void Attach_BesideAnotherProgram_BothWork()
    {
        using var others = KernelPrograms.Load();
        using var policy = new KernelPolicy(others.Policy);
        policy.Replace(Rig.PolicyFor(Elsewhere, "time: 100s, interval: 11s, probes: 3"));
        others.SettingsMap.Update(0u, CgroupPrograms.Signed(default));
        using (new CgroupPrograms(others, _cgroup.Path))
        {
            Assert.Equal(s_guide, _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)));
            Assert.Equal(new KeepaliveValues(true, 100, 11, 3), _lab.Client.Get(_lab.Client.Connect(Elsewhere, _port)));
            // A new agent does not remove programs of a running agent.
            _rig.Restart();
            _rig.Pass();
            Assert.Equal(new KeepaliveValues(true, 100, 11, 3), _lab.Client.Get(_lab.Client.Connect(Elsewhere, _port)));
        }
        // A process that lists the links of the machine holds each link for a moment.
        Eventually.True(() => _lab.Client.Get(_lab.Client.Connect(Elsewhere, _port)) == s_untouched, TimeSpan.FromSeconds(5));
        Assert.Equal(s_guide, _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)));
    }

    [Fact]
    public void Attach_ProgramsOfAnAgentThatIsGone_AreFoundAndRemoved()
    {
        using var dead = KernelPrograms.Load();
        using var policy = new KernelPolicy(dead.Policy);
        policy.Replace(Rig.PolicyFor(Elsewhere, "time: 100s"));
        var signature = CgroupPrograms.Signed(default);
        // Simulates an earlier process with the same pid: links can outlive the process that made them.
        signature.owner_started--;
        dead.SettingsMap.Update(0u, in signature);
        using var leftover = new CgroupPrograms(dead, _cgroup.Path);
        Assert.True(_lab.Client.Get(_lab.Client.Connect(Elsewhere, _port)).On);
        _rig.Restart();
        _rig.Pass();
        Assert.Equal(s_untouched, _lab.Client.Get(_lab.Client.Connect(Elsewhere, _port)));
        Assert.Equal(s_guide, _lab.Client.Get(_lab.Client.Connect(Lab.ServerAddress, _port)));
        Assert.Equal(0, CgroupPrograms.RemoveLeftovers(_cgroup.Path));
    }

    private static KeepaliveValues Values(KeepaliveOptions? options) => options is { } o ? new(o.Enabled, o.Time, o.Interval, o.Probes) : throw new ArgumentNullException(nameof(options));

    private void SetUserTimeout(string choice)
    {
        _rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues, userTimeout: choice);
        _rig.Pass();
    }

    private void Restore()
    {
        _rig.Policy = PolicySnapshot.Empty;
        _rig.Pass(new PassScope { Full = true, Last = true });
    }

    public void Dispose()
    {
        _rig.Dispose();
        _lab.Dispose();
        _cgroup.Dispose();
    }
}
