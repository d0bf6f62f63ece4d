using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Hosting;

namespace Keepalive.Agent.Running;

/// <summary>Handles SIGTERM and SIGINT, which stop the program, and SIGHUP, which reloads the policies. It does so from the program's first
/// moment on, because reading the policies may take long, and a service manager may send a reload during the start.</summary>
/// <remarks>It handles them until the process has ended. Without a handler, a signal during the end would decide the exit status.</remarks>
[SuppressMessage("Design", "CA1001", Justification = "A handler may run as long as the process does, and uses the source.")]
internal sealed class Signals
{
    /// <summary>Keeps the handlers from being garbage collected.</summary>
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
            // The second signal ends the program by its default action: a user at a terminal does not want to wait.
            context.Cancel = !_stop.IsCancellationRequested;
            _stop.Cancel();
        });
        // A SIGHUP during the start must not end the program. The policies are read later anyway.
        On(PosixSignal.SIGHUP, context =>
        {
            context.Cancel = true;
            Volatile.Read(ref _reload)?.Invoke();
        });
    }

    /// <summary>The handlers of this process. They are installed on the first use.</summary>
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
