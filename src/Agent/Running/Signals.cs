using System.Runtime.InteropServices;
using Microsoft.Extensions.Hosting;

namespace Keepalive.Agent.Running;

/// <summary>SIGTERM and SIGINT stop, SIGHUP reloads: from before there is a host on, as reading the policies may take its time.</summary>
internal sealed class Signals : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private Action? _reload;

    public Signals()
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

    public CancellationToken Stop => _stop.Token;

    public void OnReload(Action reload) => Volatile.Write(ref _reload, reload);

    public void Dispose()
    {
        _registrations.ForEach(registration => registration.Dispose());
        _stop.Dispose();
    }

    private void On(PosixSignal signal, Action<PosixSignalContext> handle) => _registrations.Add(PosixSignalRegistration.Create(signal, handle));
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
