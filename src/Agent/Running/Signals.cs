using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Hosting;

namespace Keepalive.Agent.Running;

/// <summary>SIGTERM and SIGINT stop, SIGHUP reloads: from the program's first moment on, as reading the policies may take its time, and a service manager that
/// reloads knows nothing of how far a start has come.</summary>
/// <remarks>It handles them until the process has ended: without a handler a signal that comes while the program ends would decide its exit status.</remarks>
[SuppressMessage("Design", "CA1001", Justification = "A handler may run as long as the process does, and uses the source.")]
internal sealed class Signals
{
    /// <summary>Keeps the handlers from being collected.</summary>
    private static readonly List<PosixSignalRegistration> s_registrations = [];

    private readonly CancellationTokenSource _stop = new();
    private Action? _reload;

    private static readonly Lazy<Signals> s_own = new(static () => new Signals());

    private Signals()
    {
        On(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            _stop.Cancel();
        });
        On(PosixSignal.SIGINT, context =>
        {
            // The second one ends the program as it would without this: somebody at a terminal does not want to wait.
            context.Cancel = !_stop.IsCancellationRequested;
            _stop.Cancel();
        });
        // Sent before anybody can act on it, it is not to end the program: what there is to be read is yet to be read.
        On(PosixSignal.SIGHUP, context =>
        {
            context.Cancel = true;
            Volatile.Read(ref _reload)?.Invoke();
        });
    }

    /// <summary>Handles them from when this is first asked for.</summary>
    public static Signals Own => s_own.Value;

    public CancellationToken Stop => _stop.Token;

    public void OnReload(Action reload) => Volatile.Write(ref _reload, reload);

    private static void On(PosixSignal signal, Action<PosixSignalContext> handle) => s_registrations.Add(PosixSignalRegistration.Create(signal, handle));
}

/// <summary>Stops the host with the signals that stop the program.</summary>
internal sealed class SignalLifetime(Signals signals, IHostApplicationLifetime application) : IHostLifetime, IDisposable
{
    private CancellationTokenRegistration _registration;

    public Task WaitForStartAsync(CancellationToken cancellationToken)
    {
        _registration = signals.Stop.Register(application.StopApplication);
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public void Dispose() => _registration.Dispose();
}
