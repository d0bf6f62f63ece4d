using System.Text;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>A tenant's process with a name that reorders, breaks or hides the text around it: no output of the agent contains such a
/// character.</summary>
public sealed class TenantNamesTests : IDisposable
{
    /// <summary>The 15 bytes that the kernel keeps of a name: a bidi override, a line separator, an escape, a tag.</summary>
    private const string Name = "x\\u202e\\u2028\\u001b\\U000e0041";

    private readonly AgentProcess _agent = new();

    /// <summary>Regression: U+202E and U+2028 were in all of these outputs.</summary>
    [Fact]
    public void ProcessName_WithFormatCharacters_IsMaskedEverywhere()
    {
        Live.Require("python3");
        _agent.WritePolicy(PolicyText.For("127.0.0.1", PolicyText.GuideValues));
        using var tenant = new Tenant(Script, Name);
        string[] node = ["--policies", _agent.PolicyPath, "--netns", tenant.NetnsPath];
        string[] state = ["--state-dir", _agent.StateDirectory];

        AssertClean("run --once", ProgramRun.ToEnd([ProgramRun.AgentPath, "run", "--once", "--dry-run", "--datapath", "pidfd", .. node, .. state]), isNamed: true);
        AssertClean("sockets", ProgramRun.ToEnd([ProgramRun.AgentPath, "sockets", .. node, .. state]), isNamed: true);
        AssertClean("sockets -o json", ProgramRun.ToEnd([ProgramRun.AgentPath, "sockets", "-o", "json", .. node, .. state]), isNamed: true);
        AssertClean("audit", ProgramRun.ToEnd([ProgramRun.AgentPath, "audit", .. node, .. state]), isNamed: false);
        AssertClean("audit -o json", ProgramRun.ToEnd([ProgramRun.AgentPath, "audit", "-o", "json", .. node, .. state]), isNamed: false);
        foreach (string format in new[] { "text", "json" })
        {
            string listen = AgentHttp.FreeAddress();
            var run = _agent.Launch(
                "--netns", tenant.NetnsPath, "--interval", "1s", "--log-format", format, "--log-level", "debug", "--listen", listen, "--restore-on-exit");
            string line = run.WaitForLine(text => text.Contains("keepalive off → on", StringComparison.Ordinal));
            Assert.Contains("x????)", line, StringComparison.Ordinal);
            using var pages = AgentHttp.OverUnixSocket(Path.Combine(_agent.StateDirectory, "agent.sock"));
            string sockets = Eventually.Value(() => pages.Get("/sockets").Body, body => body.Contains("\"pid\"", StringComparison.Ordinal), TimeSpan.FromSeconds(5)).Value;
            AssertClean("/sockets", sockets);
            Assert.Equal("x????", JsonDocument.Parse(sockets).RootElement[0].GetProperty("command").GetString());
            using var http = new AgentHttp(listen);
            AssertClean("/metrics", http.Get("metrics").Body);
            AssertClean("/destinations", pages.Get("/destinations").Body);
            run.Terminate();
            Assert.Equal(0, run.WaitForExit());
            AssertClean("log as " + format, run.Output + run.Error);
        }
    }

    public void Dispose() => _agent.Dispose();

    private static void AssertClean(string what, CommandResult result, bool isNamed)
    {
        AssertClean(what, result.Output + result.Error);
        Assert.True(!isNamed || result.Output.Contains("x????", StringComparison.Ordinal), $"{what}: {result.Output}{result.Error}");
    }

    private static void AssertClean(string what, string text)
    {
        foreach (var character in text.EnumerateRunes())
        {
            var category = Rune.GetUnicodeCategory(character);
            Assert.False(
                (Rune.IsControl(character) && character.Value != '\n') || category is System.Globalization.UnicodeCategory.Format
                    or System.Globalization.UnicodeCategory.LineSeparator or System.Globalization.UnicodeCategory.ParagraphSeparator,
                $"{what}: U+{character.Value:X4} in {text}");
        }
    }

    private const string Script = """
        import socket, sys, time
        name = sys.argv[1].encode().decode("unicode_escape").encode()
        listener = socket.create_server(("127.0.0.1", 0))
        own = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
        with open("/proc/self/comm", "wb") as comm:
            comm.write(name)
        print("ready")
        time.sleep(600)
        """;
}
