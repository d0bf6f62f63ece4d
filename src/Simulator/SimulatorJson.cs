using System.Text.Encodings.Web;
using Keepalive.Config;
using Keepalive.Linux.Text;

namespace Keepalive.Simulator;

/// <summary>How this program writes JSON.</summary>
internal static class SimulatorJson
{
    /// <summary>Leaves quotes and letters as they are and escapes what is unsafe on a terminal. Not for embedding in HTML.</summary>
    public static JavaScriptEncoder Encoder { get; } = new ReadableJsonEncoder(TerminalText.IsUnsafe);

    public static JsonLines Lines { get; } = new(Encoder);
}
