using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>Tests that measure time or memory: one after the other, and not beside any other.</summary>
[CollectionDefinition(nameof(TimedTests), DisableParallelization = true)]
public sealed class TimedTests;
