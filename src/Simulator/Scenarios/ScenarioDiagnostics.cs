using Keepalive.Config;

namespace Keepalive.Simulator.Scenarios;

/// <summary>Codes of problems that only scenarios have: KA200 and up. Codes that scenarios share with policies are in <see cref="DiagnosticCatalog"/>.</summary>
internal static class ScenarioDiagnostics
{
    public static readonly DiagnosticKind BadTrace = Error("KA200", "invalid line in a trace");
    public static readonly DiagnosticKind TraceOrder = Error("KA201", "trace times out of order");
    public static readonly DiagnosticKind UnknownBalancer = Error("KA202", "unknown balancer");
    public static readonly DiagnosticKind NoSuchDestination = Error("KA203", "destination not in the policies");
    public static readonly DiagnosticKind NoSuchField = Error("KA204", "field cannot be set");
    public static readonly DiagnosticKind AfterTheEnd = new("KA205", Severity.Warning, "time after the end of the simulation");
    public static readonly DiagnosticKind TooSlow = new("KA206", Severity.Warning, "response later than the request timeout");
    public static readonly DiagnosticKind TooMuch = Error("KA207", "too much to simulate");

    private static DiagnosticKind Error(string code, string title) => new(code, Severity.Error, title);
}
