using System.Runtime.CompilerServices;
using Xunit;

namespace Keepalive.Testbed;

/// <summary>Identifies the tests of one process by xunit's names. Programs that a fixture starts belong to its class.</summary>
internal static class RunningTest
{
    [ModuleInitializer]
    internal static void Name() => StartedPrograms.Running = () => Names(TestContext.Current);

    private static IReadOnlyList<string> Names(ITestContext context)
    {
        string?[] names = [context.Test?.UniqueID, context.TestClass?.UniqueID, context.TestCollection?.UniqueID, ""];
        return [.. names.OfType<string>()];
    }
}
