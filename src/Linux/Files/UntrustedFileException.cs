namespace Keepalive.Linux.Files;

/// <summary>A file or directory that somebody else could have put there or could change.</summary>
public sealed class UntrustedFileException(string problem) : IOException(problem);
