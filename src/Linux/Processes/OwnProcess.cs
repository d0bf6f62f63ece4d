using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Processes;

/// <summary>This process.</summary>
public static class OwnProcess
{
    /// <summary>Stops this process (SIGSTOP) until another one continues it (SIGCONT), as a shell does with <c>fg</c>. It then
    /// returns.</summary>
    /// <remarks>The .NET runtime does not apply the default action of SIGTSTP once a handler is registered.</remarks>
    public static void Stop() => _ = Signal.raise(Signal.SIGSTOP);
}
