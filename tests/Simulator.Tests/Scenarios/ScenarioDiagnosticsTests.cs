using System.Reflection;
using Keepalive.Config;
using Keepalive.Simulator.Scenarios;
using Xunit;

namespace Keepalive.Simulator.Tests.Scenarios;

public sealed class ScenarioDiagnosticsTests
{
    [Fact]
    public void Codes_OfScenarios_AreTheirOwn()
    {
        string[] codes = [.. typeof(ScenarioDiagnostics).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => ((DiagnosticKind)field.GetValue(null)!).Code)];

        Assert.NotEmpty(codes);
        Assert.All(codes, code => Assert.Matches(@"^KA2\d\d$", code));
        Assert.Equal(codes.Distinct(), codes);
        Assert.Empty(codes.Intersect(DiagnosticCatalog.All.Select(kind => kind.Code)));
    }
}
