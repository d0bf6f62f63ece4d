using Keepalive.Agent.Tests.Apply;
using Keepalive.Testbed;
using Xunit;

[assembly: TestCollectionOrderer(typeof(Keepalive.Agent.Tests.KernelsFirst))]

namespace Keepalive.Agent.Tests;

/// <summary>The tests of programs in the kernel run one after another: a third of all the time.</summary>
public sealed class KernelsFirst() : LongestFirst(Datapaths.Kernels, "PidfdAskingTests", "PidfdUserTimeoutTests", "PidfdApplyingTests", "PidfdModelTests");
