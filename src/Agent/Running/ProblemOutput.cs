namespace Keepalive.Agent.Running;

/// <summary>The output for the reasons why the agent does not run, and for the warnings of a single run.</summary>
/// <param name="writer">Not disposed of, because it may be the process's standard error.</param>
internal sealed class ProblemOutput(TextWriter writer)
{
    public TextWriter Writer { get; } = writer;
}
