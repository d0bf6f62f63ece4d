using Keepalive.Config.Reading;

namespace Keepalive.Agent.Policies;

/// <summary>The policy files as they were at one moment.</summary>
/// <param name="Result">The objects and their problems.</param>
/// <param name="Texts">The texts of the files that could be opened; empty if nobody needs them.</param>
/// <param name="IsWhole">Whether all files are known. If not, a file that is missing is not known to be removed.</param>
internal sealed record FilesRead(ReadResult Result, IReadOnlyDictionary<string, string> Texts, bool IsWhole);
