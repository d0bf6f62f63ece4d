using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Turns resources into the rules sockets are matched against.</summary>
public static class PolicyCompiler
{
    /// <summary>Compiles every valid policy against every valid destination.</summary>
    public static CompilationResult Compile(ResourceSet resources, CompilerOptions options)
    {
        ArgumentNullException.ThrowIfNull(resources);
        ArgumentNullException.ThrowIfNull(options);
        return new CompilationResult(CompiledPolicy.Empty, [], [], []);
    }

    /// <summary>The host names whose addresses <see cref="Compile"/> wants in <see cref="CompilerOptions.ResolvedHosts"/>.</summary>
    /// <returns>Lower case, without a trailing dot, no duplicates.</returns>
    public static IReadOnlyCollection<string> HostsToResolve(ResourceSet resources)
    {
        ArgumentNullException.ThrowIfNull(resources);
        return [];
    }
}
