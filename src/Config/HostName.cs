namespace Keepalive.Config;

/// <summary>Checks of a host name by its text alone.</summary>
public static class HostName
{
    /// <summary>One spelling for each, so that names and answers meet: lower case, without the trailing dot.</summary>
    public static string Canonical(string host) => (host.EndsWith('.') ? host[..^1] : host).ToLowerInvariant();

    /// <summary>Whether the name stands for many: <c>*.example.com</c>.</summary>
    public static bool IsWildcard(string name) => name.StartsWith("*.", StringComparison.Ordinal);

    /// <summary>Whether it has the form of a host name.</summary>
    public static bool IsValid(string name)
    {
        if (name.Length is 0 or > 255)
        {
            return false;
        }

        var labels = (name.EndsWith('.') ? name[..^1] : name).Split('.');
        return labels.All(IsLabel) && labels[^1].Any(static c => !char.IsAsciiDigit(c));
    }

    private static bool IsLabel(string label) =>
        label.Length is > 0 and <= 63 && label[0] != '-' && label[^1] != '-'
            && label.All(static c => char.IsAsciiLetterOrDigit(c) || c == '-');
}
