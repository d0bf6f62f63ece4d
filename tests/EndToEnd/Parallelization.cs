using Xunit.Sdk;
using Xunit.v3;

// These tests wait most of the time, each with processes, namespaces, cgroups and ports of its own. Those whose agent looks at the whole node, and
// those that need a processor for themselves, say so and run alone.
[assembly: Parallelization(Mode = ParallelMode.All)]
