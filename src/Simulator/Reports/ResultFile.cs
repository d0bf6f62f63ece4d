using Keepalive.Linux.Files;

namespace Keepalive.Simulator.Reports;

/// <summary>The file that a result is written into: opened before the work, which may take long, and unchanged until there is a result.</summary>
internal sealed class ResultFile : IDisposable
{
    private readonly FileStream _stream;
    private bool _isNew;

    private ResultFile(string path, FileStream stream, bool isNew) => (Path, _stream, _isNew) = (path, stream, isNew);

    public string Path { get; }

    /// <exception cref="IOException">It cannot be written to, or is no regular file.</exception>
    public static ResultFile Open(string option, string path)
    {
        var isNew = !System.IO.Path.Exists(path);
        if (!isNew && !RegularFile.IsAt(path))
        {
            throw new IOException($"{option}: {path} is not a regular file");
        }
        try
        {
            return new ResultFile(path, new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read), isNew);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"{option}: {e.Message}", e);
        }
    }

    /// <exception cref="IOException">There is no room.</exception>
    public void Write(string text)
    {
        _stream.SetLength(0);
        _stream.Write(System.Text.Encoding.UTF8.GetBytes(text));
        _stream.Flush();
        _isNew = false;
    }

    /// <summary>Deletes a file that was created for a result that did not come.</summary>
    public void Dispose()
    {
        _stream.Dispose();
        if (_isNew)
        {
            File.Delete(Path);
        }
    }
}
