using System.Collections.Immutable;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Policies;

/// <summary>Compiles policies, and compares the result with the policy in force and the diagnostics reported before.</summary>
/// <param name="side">The ends of connections that policies apply to.</param>
/// <param name="existing">The treatment of an application's own keepalive, if the policy does not set it.</param>
/// <param name="selectedOnly">Whether diagnostics of destinations that no policy selects are omitted.</param>
/// <param name="keepalive">The values for connections that no policy selects; null to skip them.</param>
/// <param name="knowsPods">Whether the workloads of connections are known by namespace and labels.</param>
/// <param name="allowsOwn">Whether pods and namespaces may choose values for their own connections.</param>
internal sealed class PolicyCompilation(
    Side side, ExistingMode existing, bool selectedOnly, KeepaliveSettings? keepalive = null, bool knowsPods = true, bool allowsOwn = false)
{
    private const int MaxWithoutAddress = 100;

    private readonly IncrementalCompiler _compiler = new();
    private volatile PolicySnapshot? _inForce;
    private HashSet<Diagnostic> _said = [];
    private bool _isRefused;

    /// <summary>The last valid policy; null if there was none yet. Any thread may read it.</summary>
    public PolicySnapshot? InForce => _inForce;

    public CompilationResult Compile(ResourceSet resources, HostAnswers hosts)
    {
        var compiled = PolicyInput.WithFallback(_compiler.Compile(resources, hosts.ToOptions(side) with { SelectedOnly = selectedOnly }), keepalive);
        if (!knowsPods && !compiled.Policy.BySource.IsEmpty)
        {
            compiled = compiled with { Diagnostics = [.. compiled.Diagnostics, .. compiled.Policy.BySource.SelectMany(static source => source.Rules).DistinctBy(static rule => rule.Policy).Select(NoPods)] };
        }
        return allowsOwn ? compiled with { Policy = compiled.Policy.WithOwn() } : compiled;
    }

    /// <summary>Returns the diagnostics to report. If some objects or hosts are not known yet, those about missing ones are
    /// omitted.</summary>
    public static ImmutableArray<Diagnostic> Told(CompilationResult compiled, bool isKnown) =>
        isKnown ? compiled.Diagnostics : compiled.Diagnostics.RemoveAll(AboutWhatIsMissing);

    /// <summary>Puts a compilation in force unless it has errors. Returns null if nothing changes and there is no new diagnostic.</summary>
    /// <param name="compiled">The compilation.</param>
    /// <param name="told">The diagnostics to report.</param>
    /// <param name="isComplete">Whether all objects that policies depend on are known.</param>
    /// <param name="afresh">Whether to report all diagnostics again, and to return an outcome in any case.</param>
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
        _inForce = isSame ? InForce : new PolicySnapshot(compiled.Policy, existing)
        {
            IsComplete = isComplete,
            WithoutAddress = [.. compiled.Destinations.Where(static one => one is { Addresses: 0, Policies.Length: > 0 }).Take(MaxWithoutAddress)],
        };
        return new PolicyLoad(InForce, news);
    }

    private static Diagnostic NoPods(CompiledRule rule) => new(
        DiagnosticCatalog.WorkloadsUnknown.Code, DiagnosticCatalog.WorkloadsUnknown.Severity, rule.Position,
        $"ConnectionPolicy {rule.Policy}: is for connections from {rule.From}, and this agent does not know pods; it sets nothing",
        "run the agent with the cluster's API and --node-name");

    private static bool Equal(CompiledPolicy one, CompiledPolicy other) => one.Side == other.Side
        && one.AllRules.SequenceEqual(other.AllRules) && one.Exemptions.SequenceEqual(other.Exemptions) && one.ListenerRules.SequenceEqual(other.ListenerRules)
        && one.BySource.Select(static source => (source.From.Text, source.Rules.Length)).SequenceEqual(other.BySource.Select(static source => (source.From.Text, source.Rules.Length)));

    private static bool AboutWhatIsMissing(Diagnostic diagnostic) =>
        diagnostic.Code == DiagnosticCatalog.SelectsNothing.Code || diagnostic.Code == DiagnosticCatalog.NoAddress.Code
        || diagnostic.Code == DiagnosticCatalog.NoSuchPort.Code || diagnostic.Code == DiagnosticCatalog.HostUnresolved.Code;
}
