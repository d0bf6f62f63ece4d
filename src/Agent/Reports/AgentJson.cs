using System.Text.Encodings.Web;
using System.Text.Json;
using Keepalive.Config;
using Keepalive.Linux.Text;

namespace Keepalive.Agent.Reports;

/// <summary>How this program writes JSON.</summary>
internal static class AgentJson
{
    /// <summary>Leaves quotes and letters as they are and escapes what is unsafe on a terminal. Not for embedding in HTML.</summary>
    public static JavaScriptEncoder Encoder { get; } = new ReadableJsonEncoder(TerminalText.IsUnsafe);

    public static JsonLines Lines { get; } = new(Encoder);

    /// <summary>The values that are set, each under its name.</summary>
    public static void WriteSettings(Utf8JsonWriter writer, KeepaliveSettings settings)
    {
        foreach (var (name, value) in new[] { ("time", settings.Time), ("interval", settings.Interval), ("probes", settings.Probes) })
        {
            if (value is { } number)
            {
                writer.WriteNumber(name, number);
            }
        }
    }
}
