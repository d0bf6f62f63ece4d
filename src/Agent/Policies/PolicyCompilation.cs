using System.Collections.Immutable;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Policies;

/// <summary>Compiles, and holds the outcome against what is in force and what has been said.</summary>
/// <param name="side">Which ends of a connection count.</param>
/// <param name="existing">What to do with an application's own keepalive where the policy itself does not say.</param>
/// <param name="selectedOnly">Whether there is nothing to say about destinations that no policy selects.</param>
internal sealed class PolicyCompilation(Side side, ExistingMode existing, bool selectedOnly)
{
    private HashSet<Diagnostic> _said = [];
    private bool _isRefused;

    /// <summary>The last good policy; null where there was none yet.</summary>
    public PolicySnapshot? InForce { get; private set; }

    public CompilationResult Compile(ResourceSet resources, HostAnswers hosts) =>
        PolicyCompiler.Compile(resources, hosts.ToOptions(side) with { SelectedOnly = selectedOnly });

    /// <summary>What there is to say of a compilation. What is not there may only not have been read, or looked up, yet.</summary>
    public static ImmutableArray<Diagnostic> Told(CompilationResult compiled, bool isKnown) =>
        isKnown ? compiled.Diagnostics : compiled.Diagnostics.RemoveAll(AboutWhatIsMissing);

    /// <summary>Puts a compilation in force unless it has errors; null where that changes nothing and there is nothing new to say.</summary>
    /// <param name="compiled">The compilation.</param>
    /// <param name="told">What there is to say of it.</param>
    /// <param name="isComplete">Whether everything is known that policies are made of.</param>
    /// <param name="afresh">Whether everything is said again, and there is an outcome in any case.</param>
    public PolicyLoad? Settle(CompilationResult compiled, ImmutableArray<Diagnostic> told, bool isComplete, bool afresh)
    {
        var news = afresh ? told : [.. told.Where(diagnostic => !_said.Contains(diagnostic))];
        _said = [.. told];
        var wasRefused = _isRefused;
        _isRefused = compiled.Diagnostics.Any(static diagnostic => diagnostic.Severity == Severity.Error);
        if (_isRefused)
        {
            return news.IsEmpty && !afresh ? null : new PolicyLoad(null, news);
        }
        var isSame = InForce is { } current && current.IsComplete == isComplete && Equal(current.Policy, compiled.Policy);
        if (isSame && !afresh && !wasRefused && news.IsEmpty)
        {
            return null;
        }
        InForce = isSame ? InForce : new PolicySnapshot(compiled.Policy, existing) { IsComplete = isComplete };
        return new PolicyLoad(InForce, news);
    }

    private static bool Equal(CompiledPolicy one, CompiledPolicy other) => one.Side == other.Side
        && one.Rules.SequenceEqual(other.Rules) && one.ListenerRules.SequenceEqual(other.ListenerRules);

    private static bool AboutWhatIsMissing(Diagnostic diagnostic) =>
        diagnostic.Code == DiagnosticCatalog.SelectsNothing.Code || diagnostic.Code == DiagnosticCatalog.NoAddress.Code
        || diagnostic.Code == DiagnosticCatalog.NoSuchPort.Code || diagnostic.Code == DiagnosticCatalog.HostUnresolved.Code;
}
