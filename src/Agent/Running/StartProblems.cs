using System.Text;
using Keepalive.Agent.Log;
using Keepalive.Config;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Running;

/// <summary>Writes the reasons why the service does not start, in the format of the log. A reader of a JSON log must not find plain text in
/// it.</summary>
internal sealed partial class StartProblems(ILogger logger) : TextWriter
{
    private const string Program = "keepalive-agent: ";
    private const string Warning = "warning: ";

    public override Encoding Encoding => Encoding.UTF8;

    public override void WriteLine(string? value)
    {
        var text = value ?? "";
        text = text.StartsWith(Program, StringComparison.Ordinal) ? text[Program.Length..] : text;
        var isWarning = text.StartsWith(Warning, StringComparison.Ordinal);
        LogProblem(isWarning ? LogLevel.Warning : LogLevel.Critical, isWarning ? text[Warning.Length..] : text);
    }

    public override void WriteLine(object? value)
    {
        if (value is Diagnostic diagnostic)
        {
            LogDiagnostic(diagnostic.Severity == Severity.Error ? LogLevel.Critical : LogLevel.Warning, diagnostic);
        }
        else
        {
            base.WriteLine(value);
        }
    }

    [LoggerMessage(EventId = EventIds.StartProblem, Message = "{Problem}")]
    private partial void LogProblem(LogLevel level, string problem);

    [LoggerMessage(EventId = EventIds.StartProblem, Message = "{Problem}")]
    private partial void LogDiagnostic(LogLevel level, Diagnostic problem);
}
