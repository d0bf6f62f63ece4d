using System.CommandLine;

namespace Keepalive.CommandLine;

/// <summary><c>manual DIRECTORY</c>, for the build of packages: writes the manual pages of the program and of each command.</summary>
internal static class ManualCommand
{
    public const string Name = "manual";

    public static Command Create(RootCommand root, ProgramHelp help)
    {
        var directory = new Argument<string>("DIRECTORY");
        var command = new Command(Name) { directory };
        command.Hidden = true;
        command.SetAction(result =>
        {
            foreach (var (name, text) in ManualPages.Write(root, help))
            {
                File.WriteAllText(Path.Combine(result.GetValue(directory)!, name), text);
            }
            return ExitCodes.Done;
        });
        return command;
    }
}
