namespace Keepalive.Simulator;

/// <summary>A line about what is in the way.</summary>
internal static class Complaint
{
    /// <summary>Writes it to standard error.</summary>
    /// <returns><paramref name="exitCode"/>.</returns>
    public static int Say(int exitCode, string message)
    {
        Console.Error.WriteLine($"keepalive-sim: {message}");
        return exitCode;
    }
}
