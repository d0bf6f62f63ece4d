using Keepalive.Linux.Files;

namespace Keepalive.Agent.Running;

/// <summary>What survives a reboot.</summary>
/// <param name="Directory">The data directory; null if nothing is kept.</param>
internal sealed record KeptData(DataDirectory? Directory) : IDisposable
{
    /// <summary>Opens the directory. If it is in a state directory that cannot be used, that one is reported.</summary>
    public static KeptData Of(StateOptions options) =>
        new(options.DataDirectory is { } path && (!IsIn(options.Directory, path) || OwnDirectory.Problem(options.Directory) is null) ? DataDirectory.Open(path) : null);

    public void Dispose() => Directory?.Dispose();

    private static bool IsIn(string directory, string path) => path.StartsWith(directory.TrimEnd('/') + "/", StringComparison.Ordinal);
}
