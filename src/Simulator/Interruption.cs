using System.Runtime.InteropServices;

namespace Keepalive.Simulator;

/// <summary>Turns the signals that would end the program into a request to stop, as long as it is there.</summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _registrations;
    private volatile int _signal;

    public Interruption() => _registrations = [On(PosixSignal.SIGINT, 2), On(PosixSignal.SIGTERM, 15)];

    public CancellationToken Token => _stop.Token;

    /// <summary>128 + the signal's number.</summary>
    public int ExitCode => 128 + _signal;

    // The source is not disposed: a handler that still runs uses it, and what it throws would end the program.
    public void Dispose() => Array.ForEach(_registrations, registration => registration.Dispose());

    private PosixSignalRegistration On(PosixSignal signal, int number) => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        _signal = number;
        _stop.Cancel();
    });
}
