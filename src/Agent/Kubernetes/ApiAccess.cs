namespace Keepalive.Agent.Kubernetes;

/// <summary>Where the API server is, and what to show it.</summary>
/// <param name="Server">Its address; what requests ask for is appended to its path.</param>
/// <param name="TokenFile">The file with the token to present; null presents none.</param>
/// <param name="AuthorityFile">The file with the authorities that may vouch for the server; null leaves that to the system's.</param>
internal sealed record ApiAccess(Uri Server, string? TokenFile, string? AuthorityFile)
{
    private const string AccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";

    /// <summary>A server that asks for no token, or a proxy that presents its own, as <c>kubectl proxy</c> does.</summary>
    public static ApiAccess Of(Uri server) => new(server, null, null);

    /// <summary>What a pod is given; null outside of one, and in one without a service account.</summary>
    /// <param name="environment">Looks up a variable of the environment.</param>
    /// <param name="directory">Where the service account is mounted.</param>
    public static ApiAccess? InCluster(Func<string, string?> environment, string directory = AccountDirectory)
    {
        var (host, port) = (environment("KUBERNETES_SERVICE_HOST"), environment("KUBERNETES_SERVICE_PORT"));
        var (token, authority) = (Path.Combine(directory, "token"), Path.Combine(directory, "ca.crt"));
        if (string.IsNullOrEmpty(host) || string.IsNullOrEmpty(port) || !File.Exists(token) || !File.Exists(authority))
        {
            return null;
        }
        var literal = host.Contains(':', StringComparison.Ordinal) ? $"[{host}]" : host;
        return Uri.TryCreate($"https://{literal}:{port}/", UriKind.Absolute, out var server) ? new ApiAccess(server, token, authority) : null;
    }
}
