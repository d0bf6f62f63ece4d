using Keepalive.Agent.Sockets;
using Keepalive.Linux;
using Keepalive.Linux.Files;

namespace Keepalive.Agent.Running;

/// <summary>The directory with the instance lock and the state file.</summary>
internal sealed class RunDirectory : IDisposable
{
    private readonly string _path;
    private readonly InstanceLock? _lock;

    private RunDirectory(string path, InstanceLock? held)
    {
        _path = path;
        _lock = held;
        Inherited = StateFile.Load(StatePath(path), StateFile.CurrentBoot(), Warnings.Add, StateFile.BootedAt());
    }

    /// <summary>The directory's path, as it was given.</summary>
    public string Location => _path;

    /// <summary>Whether this process is the node's only agent, and may write the state.</summary>
    public bool IsOwner => _lock is not null;

    /// <summary>The problems of the files that the last agent left.</summary>
    public List<string> Warnings { get; } = [];

    /// <summary>The state of the last agent of this boot.</summary>
    public InheritedSockets Inherited { get; }

    /// <summary>Opens or only reads the directory, as the options say.</summary>
    /// <exception cref="IOException">The directory cannot be used.</exception>
    public static RunDirectory Of(StateOptions options) => options.ReadOnly ? Read(options.Directory) : Open(options.Directory);

    /// <summary>Takes the lock if it is free.</summary>
    /// <exception cref="IOException">The directory cannot be created or written to, or others can write to it.</exception>
    public static RunDirectory Open(string path)
    {
        try
        {
            OwnDirectory.Create(path);
            return new RunDirectory(path, InstanceLock.TryAcquire(Path.Combine(path, "lock")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unusable(path, e);
        }
    }

    /// <summary>Reads the files that an agent left or keeps there, without a lock. Creates nothing.</summary>
    /// <exception cref="IOException">Another user could have written the files.</exception>
    public static RunDirectory Read(string path)
    {
        try
        {
            return OwnDirectory.Problem(path) is { } problem ? throw new UntrustedFileException(problem) : new RunDirectory(path, null);
        }
        catch (UntrustedFileException e)
        {
            throw Unusable(path, e);
        }
    }

    /// <summary>Returns the process that holds the lock; null if it cannot be read.</summary>
    public string? Holder() => InstanceLock.Holder(Path.Combine(_path, "lock"));

    /// <summary>Starts a new state file with the inherited state.</summary>
    /// <exception cref="LinuxException">The file cannot be written.</exception>
    public StateFile CreateState()
    {
        try
        {
            KeepUnreadable();
            return StateFile.Create(StatePath(_path), StateFile.CurrentBoot(), Inherited);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unusable(_path, e);
        }
    }

    public void Dispose() => _lock?.Dispose();

    /// <summary>Renames a state file that could not be read, so that an administrator can examine it.</summary>
    private void KeepUnreadable()
    {
        if (Warnings.Count > 0 && OwnFile.Read(StatePath(_path)) is { } content)
        {
            OwnFile.Write(StatePath(_path) + ".bad", content);
        }
    }

    private static IOException Unusable(string path, Exception e) =>
        new($"the state directory {path} cannot be used: {e.Message}. {(e is UntrustedFileException ? "Correct this, or choose" : "Choose")} another with --state-dir.", e);

    private static string StatePath(string directory) => Path.Combine(directory, "state");
}
