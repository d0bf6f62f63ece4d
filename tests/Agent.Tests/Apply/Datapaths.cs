using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Apply.Tracking;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Bpf;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>The datapaths that the live tests run on.</summary>
internal static class Datapaths
{
    /// <summary>The collection of the tests that use <see cref="Kernel"/>. It has one policy, so these tests run one after
    /// another.</summary>
    public const string Kernels = "programs in the kernel";

    // Loaded once. The tests with attached programs load them again, and test the effect of a restart.
    private static readonly Lazy<(KernelPrograms? Programs, string? Missing)> s_shared = new(TryLoad);

    public static DatapathFactory Pidfd { get; } = (only, known, state) => new PidfdDatapath(Options(only, known, state));

    /// <summary>Iterators only.</summary>
    public static DatapathFactory Bpf
    {
        get
        {
            var kernel = Kernel;
            return (only, known, state) => new BpfDatapath(Options(only, known, state), kernel, cgroup: null);
        }
    }

    /// <summary>The loaded programs; skips the test where loading is not possible.</summary>
    public static KernelPrograms Kernel
    {
        get
        {
            RequireBpf();
            return s_shared.Value.Programs!;
        }
    }

    /// <summary>Iterators, and programs at a cgroup.</summary>
    public static DatapathFactory AttachedBpf(string cgroup)
    {
        var kernel = Kernel;
        return (only, known, state) => new BpfDatapath(Options(only, known, state), kernel, cgroup);
    }

    /// <summary>The clock of datapaths that the calling test makes; null for the system's clock.</summary>
    public static AsyncLocal<TimeProvider?> Clock { get; } = new();

    /// <summary>The options of a datapath.</summary>
    public static TrackingOptions Options(IReadOnlyList<string> only, InheritedSockets known, StateFile? state) =>
        new() { Only = only, MaxNamespaces = 64, Inherited = known, State = state, Time = Clock.Value ?? TimeProvider.System };

    /// <summary>Skips the test, with the reason, where BPF cannot be used; with KEEPALIVE_REQUIRE_LIVE=1 that is a failure.</summary>
    public static void RequireBpf()
    {
        Live.Require();
        var missing = s_shared.Value.Missing ?? (TestCgroup.Root is null ? "no cgroup version 2 hierarchy is mounted" : null);
        if (missing is not null && Environment.GetEnvironmentVariable("KEEPALIVE_REQUIRE_LIVE") == "1")
        {
            Assert.Fail($"KEEPALIVE_REQUIRE_LIVE=1, but {missing}");
        }
        Assert.SkipWhen(missing is not null, missing ?? "");
    }

    private static (KernelPrograms? Programs, string? Missing) TryLoad()
    {
        if (BpfLibrary.Version is null)
        {
            return (null, "libbpf.so.1 is not installed");
        }
        try
        {
            return (KernelPrograms.Load(withTests: true), null);
        }
        catch (IOException e)
        {
            return (null, e.Message);
        }
    }
}
