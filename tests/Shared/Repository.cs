namespace Keepalive.Testbed;

/// <summary>Paths in the checkout that this assembly was built from.</summary>
internal static class Repository
{
    /// <summary>The directory that holds the solution.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>Debug or Release, the configuration of this assembly.</summary>
    public static string Configuration { get; } = AppContext.BaseDirectory.Contains("/Release/", StringComparison.Ordinal) ? "Release" : "Debug";

    private static string FindRoot()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "Keepalive.sln")))
            {
                return directory.FullName;
            }
        }

        throw new DirectoryNotFoundException($"no Keepalive.sln above {AppContext.BaseDirectory}");
    }
}
