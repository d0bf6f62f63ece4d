namespace Keepalive.Agent.Kubernetes;

/// <summary>The address of the API server, and the credentials for it.</summary>
/// <param name="Server">Its address. The path of a request is appended to it.</param>
/// <param name="TokenFile">The file with the bearer token; null sends no token.</param>
/// <param name="AuthorityFile">The file with the certificate authorities that the server's certificate must chain to; null uses the
/// system's.</param>
internal sealed record ApiAccess(Uri Server, string? TokenFile, string? AuthorityFile)
{
    private const string AccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";

    /// <summary>Returns the access to a server that needs no token, or to a proxy that sends its own, as <c>kubectl proxy</c>
    /// does.</summary>
    public static ApiAccess Of(Uri server) => new(server, null, null);

    /// <summary>Returns the access from inside a pod; null outside of a pod, and in a pod without a service account.</summary>
    /// <param name="environment">Looks up a variable of the environment.</param>
    /// <param name="directory">The directory where the service account is mounted.</param>
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
