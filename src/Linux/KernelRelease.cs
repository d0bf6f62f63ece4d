using System.Globalization;

namespace Keepalive.Linux;

/// <summary>The release of the running kernel (uname -r).</summary>
public static class KernelRelease
{
    /// <summary>The release as the kernel has it, <c>6.1.0-56-amd64</c> for example.</summary>
    public static string Text { get; } = File.ReadAllText("/proc/sys/kernel/osrelease").Trim();

    /// <summary>Major and minor version of a release; null where it does not begin with them.</summary>
    public static Version? Parse(string release)
    {
        ArgumentNullException.ThrowIfNull(release);
        var parts = release.Split('.', 3);
        return parts.Length > 1 && Number(parts[0]) is { } major && Number(parts[1]) is { } minor ? new Version(major, minor) : null;
    }

    private static int? Number(string text)
    {
        var end = text.AsSpan().IndexOfAnyExceptInRange('0', '9');
        return int.TryParse(end < 0 ? text : text.AsSpan(0, end), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
    }
}
