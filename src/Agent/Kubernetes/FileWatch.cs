namespace Keepalive.Agent.Kubernetes;

/// <summary>A small file that other programs replace from time to time, as the kubelet does with a service account's token. It is read
/// again after a change.</summary>
internal sealed class FileWatch(string path)
{
    private readonly Lock _lock = new();
    private (DateTime Written, string Target)? _seen;
    private byte[] _content = [];

    /// <summary>Returns the current content.</summary>
    /// <exception cref="IOException">The file cannot be read, and was never read before.</exception>
    public byte[] Read()
    {
        lock (_lock)
        {
            try
            {
                // A mounted volume is changed by a new link in a directory above. The path then leads to another file.
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
                // The file is being replaced. Its earlier content is good enough for another moment.
            }
            return _content;
        }
    }

    /// <summary>Makes the next call read the file again, even if its date has not changed.</summary>
    public void Doubt()
    {
        lock (_lock)
        {
            _seen = _seen is null ? null : (default, "");
        }
    }
}
