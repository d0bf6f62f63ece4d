using Keepalive.Linux.Files;

namespace Keepalive.Simulator.Reports;

/// <summary>The file that a picture is drawn into: opened before the work, which may take long, and left as it is until there is a picture.</summary>
internal sealed class PictureFile : IDisposable
{
    private readonly FileStream _stream;
    private bool _isNew;

    private PictureFile(string path, FileStream stream, bool isNew) => (Path, _stream, _isNew) = (path, stream, isNew);

    public string Path { get; }

    /// <exception cref="IOException">It cannot be written to, or is no regular file.</exception>
    public static PictureFile Open(string path)
    {
        var isNew = !System.IO.Path.Exists(path);
        if (!isNew && !RegularFile.IsAt(path))
        {
            throw new IOException($"--svg: {path} is not a regular file");
        }
        try
        {
            return new PictureFile(path, new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read), isNew);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"--svg: {e.Message}", e);
        }
    }

    /// <exception cref="IOException">There is no room.</exception>
    public void Write(string picture)
    {
        _stream.SetLength(0);
        _stream.Write(System.Text.Encoding.UTF8.GetBytes(picture));
        _stream.Flush();
        _isNew = false;
    }

    /// <summary>Takes away a file that was made for a picture that did not come.</summary>
    public void Dispose()
    {
        _stream.Dispose();
        if (_isNew)
        {
            File.Delete(Path);
        }
    }
}
