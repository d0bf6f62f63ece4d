namespace Keepalive.Testbed;

/// <summary>Programs of others that no Debian package has: tests/Tools/fetch brings them.</summary>
internal static class Tools
{
    private static readonly string s_modules = Path.Combine(Repository.Root, "tests", "Tools", "node_modules");

    public static string Helm => Find("helm");

    public static string Kubectl => Find("kubectl");

    /// <summary>Where JavaScript finds its modules.</summary>
    public static string Modules => File.Exists(Path.Combine(s_modules, ".fetched")) ? s_modules : throw Missing(s_modules);

    private static string Find(string program) => Path.Combine(s_modules, ".bin", program) is var path && File.Exists(path) ? path : throw Missing(path);

    private static FileNotFoundException Missing(string path) => new($"{path} is not there: run make deps-test");
}
