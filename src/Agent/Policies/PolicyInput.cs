using System.Collections.Immutable;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;

namespace Keepalive.Agent.Policies;

/// <summary>Policy files for the commands about them: read and compiled, with their hosts looked up.</summary>
internal sealed record PolicyInput(ReadResult Read, CompilationResult Compiled)
{
    /// <summary>All diagnostics, in the order of the files.</summary>
    public ImmutableArray<Diagnostic> Diagnostics { get; } =
        [.. Read.Diagnostics.Concat(Compiled.Diagnostics).OrderBy(static diagnostic => diagnostic.Position)];

    public bool HasErrors => Diagnostics.Any(static diagnostic => diagnostic.Severity == Severity.Error);

    /// <summary>The option with values for connections that no policy selects.</summary>
    public const string KeepaliveOption = "--keepalive";

    public static async Task<PolicyInput> LoadAsync(string[] paths, Side side, CancellationToken cancellationToken, KeepaliveSettings? keepalive = null)
    {
        await using var input = Console.OpenStandardInput();
        return await CompileAsync(PolicyReader.Read(paths, input), side, cancellationToken, keepalive);
    }

    /// <param name="read">The resources.</param>
    /// <param name="side">The ends of connections that policies apply to.</param>
    /// <param name="cancellationToken">Ends the lookup of hosts.</param>
    /// <param name="keepalive">The values for connections that no policy selects; null for none.</param>
    /// <param name="selectedOnly">Whether diagnostics of destinations that no policy selects are omitted.</param>
    public static async Task<PolicyInput> CompileAsync(
        ReadResult read, Side side, CancellationToken cancellationToken, KeepaliveSettings? keepalive = null, bool selectedOnly = false)
    {
        var compiled = PolicyCompiler.Compile(read.Resources, HostAnswers.None.ToOptions(side) with { SelectedOnly = selectedOnly });
        if (compiled.WantedHosts.Count > 0)
        {
            var hosts = await new HostResolver().ResolveAsync(compiled.WantedHosts, cancellationToken);
            compiled = PolicyCompiler.Compile(read.Resources, hosts.ToOptions(side) with { SelectedOnly = selectedOnly });
        }
        return new PolicyInput(read, WithFallback(compiled, keepalive));
    }

    /// <summary>Adds the rule of <see cref="KeepaliveOption"/> below all others.</summary>
    public static CompilationResult WithFallback(CompilationResult compiled, KeepaliveSettings? keepalive) => keepalive is not { } values
        ? compiled
        : compiled with { Policy = compiled.Policy.WithFallback(values, $"{KeepaliveOption} {KeepaliveText.Format(values)}") };

    /// <summary>Writes errors and warnings to standard error; returns true if there are no errors.</summary>
    public bool Report()
    {
        foreach (var diagnostic in Diagnostics.Where(static diagnostic => diagnostic.Severity != Severity.Note))
        {
            Console.Error.WriteLine(diagnostic);
        }
        return !HasErrors;
    }
}
