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

    /// <summary>How long a write to standard error may take if the service does not start.</summary>
    private static readonly TimeSpan s_writeWithin = TimeSpan.FromSeconds(1);

    /// <summary>Returns the output for the reasons why the service does not start, in the format of the log.</summary>
    public static TextWriter Problems(LogOptions options, ILogger logger) =>
        options.Json ? new StartProblems(logger) : new PatientWriter(Console.Error, s_writeWithin);

    public static ILoggerFactory Create(LogOptions options) => LoggerFactory.Create(logging =>
    {
        logging.SetMinimumLevel(options.Level);
        logging.AddFilter("Microsoft", LogLevel.Warning);
        // A port in use is reported in a line of our own.
        logging.AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
        logging.AddConsole(console =>
        {
            console.LogToStandardErrorThreshold = LogLevel.Trace;
            console.FormatterName = options.Json ? ConsoleFormatterNames.Json : ConsoleFormatterNames.Simple;
            // If nobody reads the log, lines are dropped and counted; passes and the end never wait for a reader.
            console.QueueFullMode = ConsoleLoggerQueueFullMode.DropWrite;
            console.MaxQueueLength = options.Level >= LogLevel.Information ? console.MaxQueueLength : DetailedQueueLength;
        });
        if (options.Json)
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
