using System.Globalization;
using Keepalive.Testbed;

namespace Keepalive.EndToEnd;

/// <summary>A terminal: a tmux server of its own with one window, in which a shell has started a program.</summary>
/// <remarks>The server ends with the test. If the test process is killed, the program ends after a while, and the server with it.</remarks>
internal sealed class TmuxPane : IDisposable
{
    private static int s_panes;

    private readonly string _server = string.Create(CultureInfo.InvariantCulture, $"keepalive-{Environment.ProcessId}-{Interlocked.Increment(ref s_panes)}");

    /// <param name="columns">The width.</param>
    /// <param name="rows">The height.</param>
    /// <param name="environment">Variables of the program, as in <c>NO_COLOR=1</c>.</param>
    /// <param name="command">The program and its arguments. The shell prints its exit code when it has ended.</param>
    public TmuxPane(int columns, int rows, string[] environment, params string[] command)
    {
        var script = $"echo before; env {Quoted(environment)} timeout --foreground 300 {Quoted(command)}; echo \"left $?\"; exec sleep 300";
        Command.Run(
            "tmux", "-L", _server, "-f", "/dev/null", "new-session", "-d", "-x", $"{columns}", "-y", $"{rows}", "sh", "-c", script);
    }

    /// <summary>The screen as text.</summary>
    public string Text => Tmux("capture-pane", "-p");

    /// <summary>The screen with its escape sequences.</summary>
    public string Coloured => Tmux("capture-pane", "-p", "-e");

    /// <summary>The lines of the screen.</summary>
    public string[] Lines => Text.TrimEnd('\n').Split('\n');

    /// <summary>Whether the program shows its own screen, and the cursor is hidden.</summary>
    public (bool HasOwnScreen, bool HidesCursor) Terminal =>
        Tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").Trim().Split(' ') is [var own, var cursor] ? (own == "1", cursor == "0") : default;

    /// <summary>The process that the shell has started: timeout's child.</summary>
    public int Program => int.Parse(
        Command.Run("pgrep", "-P", Command.Run("pgrep", "-P", Tmux("display-message", "-p", "#{pane_pid}").Trim()).Output.Trim()).Output.Trim(), CultureInfo.InvariantCulture);

    /// <summary>Presses keys, by tmux's names.</summary>
    public void Press(params string[] keys) => Tmux(["send-keys", .. keys]);

    public void Resize(int columns, int rows) => Tmux("resize-window", "-x", $"{columns}", "-y", $"{rows}");

    /// <summary>Waits until the screen has a text.</summary>
    public string WaitFor(string text) => WaitFor(screen => screen.Contains(text, StringComparison.Ordinal), text);

    /// <summary>Waits until the screen is as expected.</summary>
    public string WaitFor(Func<string, bool> wanted, string what) => Eventually.Value(() => Text, wanted, notAfter: TimeSpan.FromSeconds(40), what: what).Value;

    public void Dispose() => Command.Try(["tmux", "-L", _server, "kill-server"]);

    private static string Quoted(IEnumerable<string> words) => string.Join(' ', words.Select(word => $"'{word}'"));

    private string Tmux(params string[] command) => Command.Run(["tmux", "-L", _server, .. command]).Output;
}
