using System.Text.Json;
using Keepalive.Agent.Reports;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Keepalive.Agent.Running;

/// <summary>The service's log on standard error, as text or as JSON, with one line for each entry.</summary>
internal static class AgentLog
{
    /// <summary>The maximum number of queued lines if each connection has lines of its own (--log-level debug).</summary>
    private const int DetailedQueueLength = 16 * 1024;

    public static ILoggerFactory Create(RunOptions options) => LoggerFactory.Create(logging =>
    {
        logging.SetMinimumLevel(options.LogLevel);
        logging.AddFilter("Microsoft", LogLevel.Warning);
        // A port in use is reported in a line of our own.
        logging.AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
        logging.AddConsole(console =>
        {
            console.LogToStandardErrorThreshold = LogLevel.Trace;
            console.FormatterName = options.JsonLog ? ConsoleFormatterNames.Json : ConsoleFormatterNames.Simple;
            // If nobody reads the log, lines are dropped and counted; passes and the end never wait for a reader.
            console.QueueFullMode = ConsoleLoggerQueueFullMode.DropWrite;
            console.MaxQueueLength = options.LogLevel >= LogLevel.Information ? console.MaxQueueLength : DetailedQueueLength;
        });
        if (options.JsonLog)
        {
            logging.AddJsonConsole(console =>
            {
                (console.TimestampFormat, console.UseUtcTimestamp) = ("yyyy-MM-ddTHH:mm:ss.fffZ", true);
                console.JsonWriterOptions = new JsonWriterOptions { Encoder = AgentJson.Encoder };
            });
        }
        else
        {
            logging.AddSimpleConsole(console =>
            {
                console.SingleLine = true;
                console.UseUtcTimestamp = true;
                console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
                console.ColorBehavior = LoggerColorBehavior.Disabled;
            });
        }
        logging.Services.RemoveAll<ILoggerProvider>();
        logging.Services.AddSingleton<ConsoleLoggerProvider>();
        logging.Services.AddSingleton<ILoggerProvider>(services => new CleanLogs(services.GetRequiredService<ConsoleLoggerProvider>()));
    });
}
