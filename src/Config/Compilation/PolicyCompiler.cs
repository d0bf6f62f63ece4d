using Keepalive.Config.Resources;

namespace Keepalive.Config.Compilation;

/// <summary>Turns resources into the rules sockets are matched against.</summary>
/// <remarks>
/// A destination that two policies select is the stronger one's (<see cref="PolicyPrecedence"/>). Where destinations of different
/// policies share an address and port, the shortest <c>time</c> applies: probing too early is harmless, too late is not.
/// </remarks>
public static class PolicyCompiler
{
    /// <summary>Compiles every valid policy against every valid destination.</summary>
    public static CompilationResult Compile(ResourceSet resources, CompilerOptions options) => new IncrementalCompiler().Compile(resources, options);
}
