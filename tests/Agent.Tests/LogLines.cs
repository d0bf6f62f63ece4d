using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Tests;

/// <summary>A logger that keeps its lines.</summary>
/// <param name="least">The lowest level that it keeps.</param>
internal sealed class LogLines(LogLevel least) : ILogger
{
    public List<(LogLevel Level, int Id, string Text)> Said { get; } = [];

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= least;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            Said.Add((logLevel, eventId.Id, formatter(state, exception)));
        }
    }
}
