using System.Collections;
using System.Globalization;
using Keepalive.Config;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Running;

/// <summary>Escapes characters in log lines that would begin a line, control a terminal or reorder text. It does so in the message, and in
/// the values of a JSON log.</summary>
internal sealed class CleanLogs(ILoggerProvider output) : ILoggerProvider
{
    public ILogger CreateLogger(string categoryName) => new Logger(output.CreateLogger(categoryName));

    public void Dispose()
    {
        // The output belongs to the services that created it. A second disposal would wait a second time for its reader.
    }

    private sealed class Logger(ILogger output) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => output.IsEnabled(logLevel);

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (output.IsEnabled(logLevel))
            {
                var entry = new Entry(TerminalText.Escape(formatter(state, exception)), state as IReadOnlyList<KeyValuePair<string, object?>> ?? []);
                output.Log(logLevel, eventId, entry, exception, static (entry, _) => entry.ToString());
            }
        }
    }

    private sealed class Entry(string message, IReadOnlyList<KeyValuePair<string, object?>> values) : IReadOnlyList<KeyValuePair<string, object?>>
    {
        public int Count => values.Count;

        public KeyValuePair<string, object?> this[int index] => new(values[index].Key, Clean(values[index].Value));

        public IEnumerator<KeyValuePair<string, object?>> GetEnumerator()
        {
            for (var i = 0; i < Count; i++)
            {
                yield return this[i];
            }
        }

        public override string ToString() => message;

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

        private static object? Clean(object? value) => value switch
        {
            null or bool or sbyte or byte or short or ushort or int or uint or long or ulong or float or double or decimal => value,
            _ => TerminalText.Escape(Convert.ToString(value, CultureInfo.InvariantCulture) ?? ""),
        };
    }
}
