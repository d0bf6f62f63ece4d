namespace Keepalive.Config;

/// <summary>One problem in the input: what is wrong, where, and what to write instead.</summary>
/// <param name="Code">A stable code, <c>KA001</c> and up; see <see cref="DiagnosticCatalog"/>.</param>
/// <param name="Severity">How much it matters.</param>
/// <param name="Position">Where the offending text starts.</param>
/// <param name="Message">The problem, with the object and the field. One line.</param>
/// <param name="Fix">The fix; null if nothing needs to be done. One line.</param>
public sealed record Diagnostic(string Code, Severity Severity, SourcePosition Position, string Message, string? Fix)
{
    /// <summary><c>FILE:LINE:COL: error KA012: message; fix</c>, always one line.</summary>
    public override string ToString()
    {
        var severity = Severity switch { Severity.Error => "error", Severity.Warning => "warning", _ => "note" };
        // Of an object it is said once which one it is.
        var subject = Position.Line == 0 && Message.StartsWith(Position.File + ": ", StringComparison.Ordinal) ? Position.File.Length + 2 : 0;
        var text = $"{Position}: {severity} {Code}: {Message[subject..]}";
        return TerminalText.Escape(Fix is null ? text : $"{text}; {Fix}");
    }
}
