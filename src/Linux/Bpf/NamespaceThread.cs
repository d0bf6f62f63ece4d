using System.Runtime.ExceptionServices;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Namespaces;

namespace Keepalive.Linux.Bpf;

/// <summary>A thread that enters one network namespace after another to create iterators there. Records are read on the caller's thread.</summary>
public sealed class NamespaceThread : IDisposable
{
    private readonly AutoResetEvent _asked = new(false);
    private readonly AutoResetEvent _answered = new(false);
    private readonly Thread _thread;
    private (NamespaceSockets Where, BpfIterator What)? _job;
    private BpfRun? _run;
    private ExceptionDispatchInfo? _failure;

    public NamespaceThread()
    {
        _thread = new Thread(Work, maxStackSize: 256 * 1024) { IsBackground = true, Name = "netns" };
        _thread.Start();
    }

    /// <summary>Begins a run of <paramref name="what"/> inside a namespace.</summary>
    /// <exception cref="LinuxException">The namespace cannot be entered (EPERM: CAP_NET_ADMIN or CAP_SYS_ADMIN is missing), or no run begun.</exception>
    public BpfRun Begin(NamespaceSockets where, BpfIterator what)
    {
        ArgumentNullException.ThrowIfNull(where);
        _job = (where, what);
        _asked.Set();
        _answered.WaitOne();
        _failure?.Throw();
        return _run!;
    }

    public void Dispose()
    {
        _job = null;
        _asked.Set();
        _thread.Join();
        _asked.Dispose();
        _answered.Dispose();
    }

    private void Work()
    {
        const string own = "/proc/thread-self/ns/net";
        using var home = FileDescriptor.TryOpen(own, Unistd.O_RDONLY, out var errno);
        while (true)
        {
            _asked.WaitOne();
            if (_job is not { } job)
            {
                return;
            }
            (_run, _failure) = (null, null);
            try
            {
                if (home is null)
                {
                    throw new LinuxException($"open {own}", errno);
                }
                job.Where.Enter();
                _run = job.What.Begin();
            }
            catch (Exception e)
            {
                _failure = ExceptionDispatchInfo.Capture(e);
            }
            // A thread keeps the namespace it is in alive.
            _ = home is null ? 0 : Sched.setns(home, Sched.CLONE_NEWNET);
            _answered.Set();
        }
    }
}
