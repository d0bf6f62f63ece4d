using Keepalive.Config;

namespace Keepalive.Simulator.Scenarios;

/// <summary>Codes of problems that only scenarios have: KA200 and up. What scenarios share with policies is in <see cref="DiagnosticCatalog"/>.</summary>
internal static class ScenarioDiagnostics
{
    public static readonly DiagnosticKind BadTrace = Error("KA200", "a line of a trace that cannot be read");
    public static readonly DiagnosticKind TraceOrder = Error("KA201", "times of a trace out of order");
    public static readonly DiagnosticKind UnknownBalancer = Error("KA202", "a balancer that is not known");
    public static readonly DiagnosticKind NoSuchDestination = Error("KA203", "a destination the policies do not have");
    public static readonly DiagnosticKind NoSuchField = Error("KA204", "a field that cannot be set");
    public static readonly DiagnosticKind AfterTheEnd = new("KA205", Severity.Warning, "a time when the simulation is over");

    private static DiagnosticKind Error(string code, string title) => new(code, Severity.Error, title);
}
