using System.CommandLine;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Keepalive.Agent.Destinations;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent check PATH…</c>: what is wrong with policy files, and what they amount to on this host.</summary>
internal static class CheckCommand
{
    private static readonly JsonWriterOptions JsonOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The command with its arguments and its action.</summary>
    internal static Command Create()
    {
        var paths = new Argument<string[]>("PATH")
        {
            Description = "Policy files, or directories of *.yaml and *.yml files",
            Arity = ArgumentArity.OneOrMore,
        };
        var output = CommonOptions.Output();
        var command = new Command("check", "Check policy files: every problem with its place; exit code 1 if any is an error")
        {
            paths,
            output,
        };
        command.SetAction((result, stop) => RunAsync(
            result.GetValue(paths) ?? [], result.GetValue(output) == OutputFormat.Json, result.InvocationConfiguration.Output, stop));
        return command;
    }

    private static async Task<int> RunAsync(string[] paths, bool json, TextWriter output, CancellationToken cancellationToken)
    {
        var read = PolicyReader.Read(paths);
        var hosts = await new HostResolver().ResolveAsync(PolicyCompiler.HostsToResolve(read.Resources), cancellationToken);
        var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions { ResolvedHosts = hosts });
        var diagnostics = read.Diagnostics.Concat(compiled.Diagnostics).OrderBy(static diagnostic => diagnostic.Position).ToList();
        var text = json ? Json(read, compiled, diagnostics) : Table(read, compiled, diagnostics);
        await output.WriteAsync(text.AsMemory(), cancellationToken);
        return diagnostics.Exists(static diagnostic => diagnostic.Severity == Severity.Error) ? ExitCodes.InvalidInput : ExitCodes.Done;
    }

    private static string Table(ReadResult read, CompilationResult compiled, List<Diagnostic> diagnostics)
    {
        var text = new StringBuilder();
        foreach (var diagnostic in diagnostics)
        {
            text.Append(diagnostic).Append('\n');
        }

        foreach (var policy in compiled.Policies)
        {
            text.Append(policy.Policy).Append(": ").Append(Count(policy.Destinations, "destination")).Append(", ")
                .Append(policy.Settings is { } settings ? $"{Count(policy.Addresses, "address", "addresses")}, {settings}" : "sets nothing")
                .Append('\n');
        }

        foreach (var policy in read.Resources.All.OfType<ConnectionPolicy>().Where(static policy => !policy.IsValid))
        {
            text.Append(policy.QualifiedName).Append(": not enforced, because it has errors\n");
        }

        var counts = Enum.GetValues<Severity>().OrderDescending()
            .Select(severity => (Severity: severity, Number: diagnostics.Count(diagnostic => diagnostic.Severity == severity)))
            .Where(static count => count.Number > 0)
            .Select(static count => Count(count.Number, count.Severity.ToString().ToLowerInvariant())).ToList();
        return text.Append(Count(read.Files, "file")).Append(", ").Append(Count(read.Resources.All.Length, "resource")).Append(": ")
            .Append(counts.Count == 0 ? "no problems" : string.Join(", ", counts)).Append('\n').ToString();
    }

    private static string Json(ReadResult read, CompilationResult compiled, List<Diagnostic> diagnostics)
    {
        var text = new StringBuilder();
        foreach (var diagnostic in diagnostics)
        {
            AppendLine(text, writer =>
            {
                writer.WriteString("file", diagnostic.Position.File);
                writer.WriteNumber("line", diagnostic.Position.Line);
                writer.WriteNumber("column", diagnostic.Position.Column);
                writer.WriteString("severity", diagnostic.Severity.ToString().ToLowerInvariant());
                writer.WriteString("code", diagnostic.Code);
                writer.WriteString("message", diagnostic.Message);
                writer.WriteString("fix", diagnostic.Fix);
            });
        }

        AppendLine(text, writer =>
        {
            writer.WriteString("kind", "summary");
            writer.WriteNumber("files", read.Files);
            writer.WriteNumber("resources", read.Resources.All.Length);
            writer.WriteNumber("errors", diagnostics.Count(static diagnostic => diagnostic.Severity == Severity.Error));
            writer.WriteNumber("warnings", diagnostics.Count(static diagnostic => diagnostic.Severity == Severity.Warning));
            writer.WriteNumber("notes", diagnostics.Count(static diagnostic => diagnostic.Severity == Severity.Note));
            writer.WriteStartArray("policies");
            foreach (var policy in compiled.Policies)
            {
                WritePolicy(writer, policy);
            }

            writer.WriteEndArray();
        });
        return text.ToString();
    }

    private static void WritePolicy(Utf8JsonWriter writer, PolicySummary policy)
    {
        writer.WriteStartObject();
        writer.WriteString("policy", policy.Policy);
        writer.WriteNumber("destinations", policy.Destinations);
        writer.WriteNumber("addresses", policy.Addresses);
        writer.WriteNumber("rules", policy.Rules);
        writer.WriteBoolean("keepalive", policy.Settings is not null);
        foreach (var (name, value) in new[]
        {
            ("time", policy.Settings?.Time), ("interval", policy.Settings?.Interval), ("probes", policy.Settings?.Probes),
        })
        {
            if (value is { } number)
            {
                writer.WriteNumber(name, number);
            }
        }

        writer.WriteEndObject();
    }

    private static void AppendLine(StringBuilder text, Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, JsonOptions))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }

        text.Append(Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length)).Append('\n');
    }

    private static string Count(int number, string singular, string? plural = null) =>
        $"{number} {(number == 1 ? singular : plural ?? singular + "s")}";
}
