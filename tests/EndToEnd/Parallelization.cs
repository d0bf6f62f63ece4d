using Keepalive.Testbed;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

// These tests wait most of the time, each with its own processes, namespaces, cgroups and ports. Tests whose agent looks at the whole node,
// and tests that need a processor for themselves, are marked and run alone.
[assembly: Parallelization(Mode = ParallelMode.All)]
[assembly: TestCollectionOrderer(typeof(Keepalive.EndToEnd.OutagesFirst))]

namespace Keepalive.EndToEnd;

/// <summary>Single tests of these classes wait for half a minute.</summary>
public sealed class OutagesFirst()
    : LongestFirst(
        "VerdictTruthTests", "BpfLastGoodPolicyTests", "PidfdLastGoodPolicyTests", "KubernetesPidfdTests", "KubernetesBpfTests", "LivenessTests", "RollingUpdateTests", "VerdictTests");
