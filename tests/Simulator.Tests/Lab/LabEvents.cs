using System.Text.Json;
using Keepalive.Testbed;

namespace Keepalive.Simulator.Tests.Lab;

/// <summary><c>keepalive-sim lab -o json</c> and its events.</summary>
internal static class LabEvents
{
    /// <summary>The collection of the tests with labs in programs: each measures time, and many run several labs at once.</summary>
    public const string Programs = "programs with labs";

    public static ProgramRun Start(params ReadOnlySpan<string> arguments) => new([ProgramRun.SimulatorPath, "lab", "-o", "json", .. arguments]);

    /// <summary>Every line of standard output. Each must be an object.</summary>
    public static List<JsonElement> Parse(string output) =>
        [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];

    public static IEnumerable<JsonElement> Of(this IEnumerable<JsonElement> events, string kind) => events.Where(what => what.Text("event") == kind);

    /// <summary>Standard output of a process.</summary>
    public static IEnumerable<JsonElement> Lines(this IEnumerable<JsonElement> events, string process, string stream = "stdout") =>
        events.Of("output").Where(line => line.Text("process") == process && line.Text("stream") == stream);

    public static string Text(this JsonElement what, string field) => what.GetProperty(field).GetString() ?? "";

    public static double Number(this JsonElement what, string field) => what.GetProperty(field).GetDouble();
}
