namespace Keepalive.Agent.Kubernetes;

/// <summary>A small file that others replace now and then, as the kubelet does with a service account's: read again when it has changed.</summary>
internal sealed class FileWatch(string path)
{
    private readonly Lock _lock = new();
    private (DateTime Written, string Target)? _seen;
    private byte[] _content = [];

    /// <summary>What it holds now.</summary>
    /// <exception cref="IOException">It cannot be read and never could.</exception>
    public byte[] Read()
    {
        lock (_lock)
        {
            try
            {
                // A mounted volume is swapped by a link of a directory above: the file that the path leads to is another then.
                FileSystemInfo info = new FileInfo(path);
                info = info.ResolveLinkTarget(returnFinalTarget: true) ?? info;
                var now = (info.LastWriteTimeUtc, info.FullName);
                if (_seen != now)
                {
                    _content = File.ReadAllBytes(path);
                    _seen = now;
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException && _seen is not null)
            {
                // In the middle of being replaced: what it was before will do for another moment.
            }
            return _content;
        }
    }

    /// <summary>Has it read again whatever its date says.</summary>
    public void Doubt()
    {
        lock (_lock)
        {
            _seen = _seen is null ? null : (default, "");
        }
    }
}
