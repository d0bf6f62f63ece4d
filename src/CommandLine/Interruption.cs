using System.Runtime.InteropServices;

namespace Keepalive.CommandLine;

/// <summary>Turns SIGINT, SIGTERM and SIGHUP into a request to stop, as long as it is there: what was begun has a summary to print, or something to keep.</summary>
/// <remarks>The runtime does not handle a signal that was ignored when the program started, as SIGHUP is under nohup(1).</remarks>
public sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _registrations;
    private volatile int _signal;

    /// <summary>Begins with it.</summary>
    public Interruption() => _registrations = [On(PosixSignal.SIGHUP, 1), On(PosixSignal.SIGINT, 2), On(PosixSignal.SIGTERM, 15)];

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken Token => _stop.Token;

    /// <summary>For what was ended before its end: 128 and the signal's number.</summary>
    public int ExitCode => 128 + _signal;

    /// <inheritdoc/>
    // The source is not disposed: a handler that still runs uses it, and what it throws would end the program.
    public void Dispose() => Array.ForEach(_registrations, registration => registration.Dispose());

    /// <summary>The second signal ends the program as it would without this.</summary>
    private PosixSignalRegistration On(PosixSignal signal, int number) => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = !_stop.IsCancellationRequested;
        _signal = number;
        _stop.Cancel();
    });
}
