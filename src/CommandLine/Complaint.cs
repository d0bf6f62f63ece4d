namespace Keepalive.CommandLine;

/// <summary>A line about what is in the way.</summary>
public static class Complaint
{
    /// <summary>Writes it to standard error, behind the program's name.</summary>
    public static void Say(string message) => Console.Error.WriteLine($"{BuildInformation.Program}: {message}");

    /// <summary>The same, of what ends the program.</summary>
    /// <returns><paramref name="exitCode"/>.</returns>
    public static int Say(int exitCode, string message)
    {
        Say(message);
        return exitCode;
    }
}
