using System.Globalization;
using Keepalive.Testbed;

namespace Keepalive.EndToEnd;

/// <summary>A laptop: the real kubectl with a kubeconfig for the tests' API server. <c>kubectl exec</c> runs the command here, with the
/// options of the node's own agent.</summary>
internal sealed class KubectlBed : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-kubectl");

    public KubectlBed(FakeApiServer server)
    {
        Directory.CreateDirectory(In("bin"));
        Directory.CreateDirectory(In("nodes"));
        Directory.CreateDirectory(In("home"));
        File.WriteAllText(Kubeconfig, $$"""
            {"apiVersion":"v1","kind":"Config","current-context":"nowhere",
             "clusters":[{"name":"tests","cluster":{"server":"{{server.Address.ToString().TrimEnd('/')}}"} },{"name":"nowhere","cluster":{"server":"http://127.0.0.1:1"} }],
             "users":[{"name":"me","user":{} }],
             "contexts":[{"name":"tests","context":{"cluster":"tests","user":"me"} },{"name":"nowhere","context":{"cluster":"nowhere","user":"me"} }]}
            """);
        Install($$"""
            #!/bin/bash
            for ((i = 1; i <= $#; i++)); do
                case ${!i} in
                    --) break ;;
                    exec) exec=1 ;;
                    agent-*) pod=${!i} ;;
                esac
            done
            if [[ ! $exec ]]; then exec {{Real}} "$@"; fi
            echo "$*" >> {{In("execs")}}
            mkdir {{In("running")}}.$$; ls -d {{In("running")}}.* | wc -l >> {{In("parallel")}}; trap 'rmdir {{In("running")}}.$$' EXIT
            if [[ ! -e {{In("nodes")}}/$pod ]]; then echo 'Error from server: error dialing backend: no route to host' >&2; exit 1; fi
            shift $i; shift
            . {{In("nodes")}}/$pod
            code=$?
            if ((code)); then echo "command terminated with exit code $code" >&2; fi
            exit $code
            """);
    }

    /// <summary>Where the real kubectl is.</summary>
    public static string Real { get; } = Command.Try(["sh", "-c", "command -v kubectl"]).Output.Trim();

    public string Kubeconfig => In("kubeconfig");

    /// <summary>The commands that were run through exec.</summary>
    public string[] Execs => File.Exists(In("execs")) ? File.ReadAllLines(In("execs")) : [];

    /// <summary>The largest number of execs at a time.</summary>
    public int MostAtATime => File.ReadAllLines(In("parallel")).Max(static line => int.Parse(line, CultureInfo.InvariantCulture));

    /// <summary>Replaces kubectl by a script.</summary>
    public void Install(string script)
    {
        File.WriteAllText(In("bin/kubectl"), script.ReplaceLineEndings("\n"));
        File.SetUnixFileMode(In("bin/kubectl"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>Removes kubectl.</summary>
    public void Uninstall() => File.Delete(In("bin/kubectl"));

    /// <summary>Adds a node with an agent.</summary>
    /// <param name="api">The server.</param>
    /// <param name="number">Its number.</param>
    /// <param name="script">What exec runs, with the agent's options as its arguments; null if exec fails.</param>
    public void AddNode(FakeApiServer api, int number, string? script)
    {
        api.Apply(Agent(number));
        if (script is not null)
        {
            File.WriteAllText(In($"nodes/agent-{number}"), script);
        }
    }

    /// <summary>A running pod of the agent.</summary>
    public static string Agent(int number, string ns = "keepalive-agent", string state = "running") =>
        $$$"""
        {"apiVersion":"v1","kind":"Pod","metadata":{"name":"agent-{{{number}}}","namespace":"{{{ns}}}","labels":{"app.kubernetes.io/name":"keepalive-agent"}},
         "spec":{"nodeName":"node-{{{number}}}","containers":[{"name":"sidecar"},{"name":"agent"}]},
         "status":{"phase":"Running","containerStatuses":[{"name":"agent","state":{"{{{state}}}":{} } } ] } }
        """;

    /// <summary>Starts the agent's program as on a laptop, and waits for its end.</summary>
    public CommandResult Run(params string[] words) => Run(ProgramRun.AgentPath, words);

    /// <summary>The same with a terminal, on which somebody answers the first prompt.</summary>
    public CommandResult RunOnTerminal(string prompt, string answer, params string[] words)
    {
        const string script = """
            import os, pty, sys
            prompt, answer = sys.argv[1].encode(), sys.argv[2].encode() + b"\n"
            pid, terminal = pty.fork()
            if pid == 0:
                os.execv(sys.argv[3], sys.argv[3:])
            shown, answered = b"", False
            while True:
                try:
                    data = os.read(terminal, 4096)
                except OSError:
                    break
                shown += data
                if prompt in shown and not answered:
                    answered = os.write(terminal, answer) > 0
            sys.stdout.write(shown.decode().replace("\r\n", "\n"))
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            """;
        return Run("python3", ["-c", script, prompt, answer, ProgramRun.AgentPath, .. words]);
    }

    /// <summary>The same as a plugin of kubectl.</summary>
    public CommandResult Plugin(params string[] words)
    {
        string link = In("bin/kubectl-keepalive");
        if (!File.Exists(link))
        {
            File.CreateSymbolicLink(link, ProgramRun.AgentPath);
        }
        return Run("kubectl", ["keepalive", .. words]);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private CommandResult Run(string program, string[] words)
    {
        var environment = new Dictionary<string, string?>
        {
            ["PATH"] = $"{In("bin")}:/usr/bin:/bin:{Path.GetDirectoryName(Real)}",
            ["HOME"] = In("home"),
            ["KUBECONFIG"] = Kubeconfig,
        };
        if (!File.Exists(In("bin/kubectl")))
        {
            environment["PATH"] = In("bin");
        }
        using var run = new ProgramRun([program == "kubectl" ? In("bin/kubectl") : program, .. words], environment: environment);
        int exitCode = run.WaitForExit();
        return new CommandResult(exitCode, run.Output, run.Error);
    }

    private string In(string name) => Path.Combine(_directory.FullName, name);
}
