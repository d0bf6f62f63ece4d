using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>Tests that measure time or memory. They run one after another, without other tests.</summary>
[CollectionDefinition(nameof(TimedTests), DisableParallelization = true)]
public sealed class TimedTests;
