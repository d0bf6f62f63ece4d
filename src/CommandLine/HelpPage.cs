namespace Keepalive.CommandLine;

/// <summary>The parts of a command's help that its options do not say themselves.</summary>
/// <param name="Example">A command line to copy.</param>
/// <param name="Groups">Headings, each with the names of its options, in the order of the help.</param>
public sealed record HelpPage(string Example, params IReadOnlyList<(string Heading, string[] Options)> Groups);
