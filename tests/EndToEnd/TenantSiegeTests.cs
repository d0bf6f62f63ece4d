using System.Diagnostics;
using System.Globalization;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>Ten tenants of different users attack at once. Another tenant's new connections are set in time, and the agent stays small and
/// stops on SIGTERM. <c>make siege</c> runs it, for two minutes on each datapath.</summary>
[TestClass(DisableParallelization = true)]
[Trait("Siege", "yes")]
public sealed class TenantSiegeTests : IDisposable
{
    private const int Descriptors = 4000;
    private const int Kilobytes = 128 * 1024;

    private static readonly TimeSpan s_duration =
        TimeSpan.FromSeconds(int.Parse(Environment.GetEnvironmentVariable("KEEPALIVE_SIEGE") ?? "120", CultureInfo.InvariantCulture));

    /// <summary>One and a half passes; there is one pass a second.</summary>
    private static readonly TimeSpan s_inTime = TimeSpan.FromSeconds(1.5);

    private readonly TestCgroup _cgroup = new();
    private readonly AgentProcess _agent = new();
    private readonly List<Tenant> _tenants = [];

    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void TenAttackersAtOnce_OthersAreSetInTime(string datapath)
    {
        Live.Require("python3");
        if (datapath == "bpf")
        {
            _agent.UseBpf(_cgroup);
        }
        _agent.WritePolicy(PolicyText.For(Tenant.Address, PolicyText.GuideValues));
        var honest = Add(Attacks.Honest, Tenant.Address);
        var run = _agent.Start();
        AgentProcess.WaitForEvent(run, AgentEvents.Ready);
        Lines(honest, atLeast: 3);
        var without = Waits(honest, from: 0);

        // Attackers with a long start begin one after another: beside the other attacks their start would take many times as long.
        Add(Attacks.Namespaces, "1000").WaitUntilReady();
        Tenant[] signalled =
        [
            Add(Attacks.Interfaces, Tenant.Address), Add(Attacks.Tables, "shared", "400", Tenant.Address), Add(Attacks.Tables, "own", "100", Tenant.Address),
        ];
        Array.ForEach(signalled, tenant => tenant.WaitUntilReady());
        Add(Attacks.NamespaceChurn, "200").WaitUntilReady();
        Add(Attacks.ConnectionChurn, "5000", Tenant.Address);
        Add(Attacks.ConnectionChurn, "5000", Tenant.Address);
        Add(Attacks.InterfaceChurn, Tenant.Address);
        Add(Attacks.Forger, Tenant.Address);
        Add(Attacks.Turncoat, Tenant.Address);
        _tenants.ForEach(tenant => tenant.WaitUntilReady());
        Array.ForEach(signalled, tenant => tenant.Run.Signal("USR1"));

        var from = honest.Run.Output.Length;
        var clock = Stopwatch.StartNew();
        int kilobytes = 0, descriptors = 0;
        while (clock.Elapsed < s_duration)
        {
            Thread.Sleep(500);
            Assert.DoesNotContain(_tenants, tenant => tenant.Run.HasExited);
            kilobytes = Math.Max(kilobytes, AgentProcess.StatusKilobytes(run.Pid, "VmRSS"));
            descriptors = Math.Max(descriptors, AgentProcess.Descriptors(run.Pid));
        }
        var waits = Waits(honest, from);
        clock.Restart();
        run.Terminate();
        Assert.Equal(0, run.WaitForExit(TimeSpan.FromSeconds(60)));
        var stop = clock.Elapsed;

        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{datapath}: set after at most {without.Max()} ms of {without.Count} without them, {waits.Max()} ms of {waits.Count} with them (median {waits.Order().ElementAt(waits.Count / 2)}); VmRSS {kilobytes} kB, {descriptors} descriptors, stopped in {stop.TotalSeconds:F1} s"));
        Assert.DoesNotContain(-1, waits);
        Assert.InRange(waits.Max(), 0, s_inTime.TotalMilliseconds);
        Assert.InRange(kilobytes, 0, Kilobytes);
        Assert.InRange(descriptors, 0, Descriptors);
        Assert.InRange(stop, TimeSpan.Zero, TimeSpan.FromSeconds(5));
    }

    public void Dispose()
    {
        _agent.Dispose();
        _tenants.ForEach(tenant => tenant.Dispose());
        _cgroup.Dispose();
    }

    private Tenant Add(string script, params string[] arguments)
    {
        var tenant = Tenant.Begin(64000 + _tenants.Count, script, arguments);
        _tenants.Add(tenant);
        return tenant;
    }

    private static void Lines(Tenant tenant, int atLeast) =>
        Eventually.True(() => Waits(tenant, from: 0).Count >= atLeast, TimeSpan.FromSeconds(30));

    private static List<int> Waits(Tenant tenant, int from) =>
    [
        .. tenant.Run.Output[from..].Split('\n').SkipLast(1).Where(line => line.StartsWith("waited ", StringComparison.Ordinal))
            .Select(line => int.Parse(line["waited ".Length..], CultureInfo.InvariantCulture)),
    ];
}
