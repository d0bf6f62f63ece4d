using System.CommandLine;

namespace Keepalive.CommandLine;

/// <summary><c>completion</c>: prints a shell's completion script, made from the commands themselves.</summary>
internal static class CompletionCommand
{
    public const string Name = "completion";

    private static readonly string[] s_shells = ["bash", "zsh", "fish"];

    public static Command Create(RootCommand root)
    {
        var shell = new Argument<string>("SHELL") { Description = "bash, zsh or fish" };
        shell.CompletionSources.Add(s_shells);
        shell.Validators.Add(static result =>
        {
            if (result.Tokens is [{ Value: var given }] && !s_shells.Contains(given))
            {
                result.AddError($"{Name} takes bash, zsh or fish, not '{given}'");
            }
        });
        var command = new Command(Name, "Print the script with which a shell completes this program's commands") { shell };
        command.SetAction(result =>
        {
            Console.Out.Write(Script(root, result.GetValue(shell)!));
            return ExitCodes.Done;
        });
        return command;
    }

    /// <summary>The script for one shell.</summary>
    public static string Script(RootCommand root, string shell)
    {
        var commands = CompletedCommand.AllOf(root);
        return shell switch
        {
            "bash" => BashCompletion.Write(BuildInformation.Program, commands),
            "zsh" => ZshCompletion.Write(BuildInformation.Program, commands),
            _ => FishCompletion.Write(BuildInformation.Program, commands),
        };
    }

    public static HelpPage Page { get; } = new($"{BuildInformation.Program} {Name} bash");
}
