using Keepalive.Testbed;
using Xunit;

[assembly: TestCollectionOrderer(typeof(Keepalive.Simulator.Tests.MeasurementsFirst))]

namespace Keepalive.Simulator.Tests;

/// <summary>Measurements through live balancers take as long as the timeouts that they measure.</summary>
public sealed class MeasurementsFirst()
    : LongestFirst("DiscoverCommandTests", Lab.LabEvents.Programs, "DiscoveryTests", "LabCommandTests", "ConformanceTests", "ShardTests", "EngineTests");
