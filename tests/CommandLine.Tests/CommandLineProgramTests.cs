using System.CommandLine;
using Xunit;

namespace Keepalive.CommandLine.Tests;

public sealed class CommandLineProgramTests
{
    /// <summary>The library reports that no descriptor is left inside another exception where a part of it is first used.</summary>
    [Fact]
    public void IOException_AtTheFirstUseOfAPart_IsReportedAsItself()
    {
        Assert.Equal(ExitCodes.Failed, Run(new TypeInitializationException("a", new TypeInitializationException("b", new IOException("Too many open files")))));
        Assert.Throws<TypeInitializationException>(() => Run(new TypeInitializationException("a", new InvalidOperationException("a fault of ours"))));
    }

    private static int Run(Exception thrown)
    {
        var root = new RootCommand("tests");
        var command = new Command("throw", "Throws");
        command.SetAction(int (_) => throw thrown);
        root.Subcommands.Add(command);
        return CommandLineProgram.Run(root, new ProgramHelp([], new Dictionary<string, HelpPage>()), ["throw"], static _ => null, static _ => null);
    }
}
