using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>A tenant that prepares the state directory: the agent does not write through any of the tenant's files, and reports the
/// problem.</summary>
public sealed class TenantFilesTests : IDisposable
{
    private const string Kept = "what root has written\n";

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-files");

    public TenantFilesTests()
    {
        // As /tmp: every user may create entries in it.
        Directory.CreateDirectory(Shared);
        File.SetUnixFileMode(_directory.FullName, (UnixFileMode)0b111_101_101);
        File.SetUnixFileMode(Shared, UnixFileMode.StickyBit | (UnixFileMode)0b111_111_111);
        File.WriteAllText(Victim, Kept);
        File.WriteAllText(Policy, PolicyText.For("203.0.113.77", PolicyText.GuideValues));
    }

    private string Shared => Path.Combine(_directory.FullName, "shared");

    private string State => Path.Combine(Shared, "state-directory");

    private string Victim => Path.Combine(_directory.FullName, "victim");

    private string Policy => Path.Combine(_directory.FullName, "policy.yaml");

    /// <summary>Regression: the agent used each of these. It emptied the target of state.new or lock, filled another directory with its
    /// files, and waited for ever for the other end of a pipe.</summary>
    /// <param name="byRoot">Preparation by root in the shared directory; $0 is the state directory.</param>
    /// <param name="byTenant">The tenant's commands after that; $1 is a file of root's.</param>
    /// <param name="problem">The agent's message; DIR stands for the state directory.</param>
    /// <param name="directory">The state directory, if not the usual one.</param>
    [Theory]
    [InlineData("", "mkdir $0", "DIR belongs to another user (uid 65534)")]
    [InlineData("mkdir target", "ln -s target $0", "DIR is a symbolic link")]
    [InlineData("mkdir -p target/state-directory", "ln -s target way", "way is a symbolic link of another user (uid 65534)", "way/state-directory")]
    [InlineData("", "mkdir -m 1777 way; mkdir way/state-directory", "way belongs to another user (uid 65534)", "way/state-directory")]
    [InlineData("mkdir -m 777 way", "true", "way is writable by others (mode 0777)", "way/state-directory")]
    [InlineData("mkdir -m 777 $0", "ln -s $1 $0/state.new", "DIR is writable by others (mode 0777; chmod go-w DIR)")]
    [InlineData("mkdir -m 777 $0", "ln -s $1 $0/lock", "DIR is writable by others (mode 0777; chmod go-w DIR)")]
    [InlineData("mkdir -m 1777 $0", "mkfifo $0/state", "DIR is writable by others (mode 1777; chmod go-w DIR)")]
    [InlineData("mkdir -m 775 $0; chgrp 65534 $0", "echo bad > $0/state", "DIR is writable by others (mode 0775; chmod go-w DIR)")]
    public void StateDirectory_PreparedByATenant_IsRefused(string byRoot, string byTenant, string problem, string? directory = null)
    {
        Shell([], byRoot);
        Shell(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], byTenant);

        AssertRefused(problem, directory);
    }

    /// <summary>Regression: after root had corrected the mode of the directory, files that others had put there before were still
    /// followed.</summary>
    [Theory]
    [InlineData("ln -s $1 $0/state.new", null)]
    [InlineData("ln -s $1 $0/state.bad; echo nonsense > $0/state.later", null)]
    [InlineData("ln -s $1 $0/agent.sock", null)]
    [InlineData("ln -s $1 $0/lock", "DIR/lock is a symbolic link")]
    [InlineData("ln -s $1 $0/state", "DIR/state is a symbolic link")]
    [InlineData("mkfifo $0/state", "DIR/state is not a regular file")]
    [InlineData("mkfifo -m 666 $0/lock", "DIR/lock is not a regular file")]
    [InlineData("echo bad > $0/state", "DIR/state belongs to another user (uid 65534)")]
    public void StateDirectory_OnceWritableByATenant_NothingInItIsFollowed(string byTenant, string? problem)
    {
        Shell([], "mkdir -m 777 $0");
        Shell(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"], byTenant);
        Shell([], "chmod 755 $0; [ ! -e $0/state.later ] || { chown 0:0 $0/state.later; chmod 600 $0/state.later; mv $0/state.later $0/state; }");

        if (problem is not null)
        {
            AssertRefused(problem, null);
            return;
        }
        using var run = ProgramRun.Agent([.. Run(State), "--interval", "1s"]);
        run.WaitForLine(line => line.Contains("started", StringComparison.Ordinal));
        using (var pages = AgentHttp.OverUnixSocket(Path.Combine(State, "agent.sock")))
        {
            Assert.Equal(200, (int)pages.Get("/healthz").Status);
        }
        Assert.Equal("600 regular file\n600 regular file\n600 socket\n", Shell([], "cd $0 && stat -c '%a %F' lock state agent.sock").Replace(" empty", "", StringComparison.Ordinal));
        run.Terminate();
        Assert.Equal(0, run.WaitForExit());
        Assert.Equal(Kept, File.ReadAllText(Victim));
    }

    [Fact]
    public void StateDirectory_WithoutUmask_IsWritableOnlyByRoot()
    {
        string state = Path.Combine(_directory.FullName, "run", "agent");
        var result = ProgramRun.ToEnd(["sh", "-c", "umask 0; exec \"$@\"", "sh", ProgramRun.AgentPath, .. Run(state), "--once"]);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Equal((UnixFileMode)0b111_101_101, File.GetUnixFileMode(state));
        Assert.Equal((UnixFileMode)0b111_101_101, File.GetUnixFileMode(Path.GetDirectoryName(state)!));
        Assert.Equal((UnixFileMode)0b110_000_000, File.GetUnixFileMode(Path.Combine(state, "state")));
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private void AssertRefused(string problem, string? directory)
    {
        string state = directory is null ? State : Path.Combine(Shared, directory);
        string path = problem.Contains("DIR", StringComparison.Ordinal) ? problem.Replace("DIR", state, StringComparison.Ordinal) : Path.Combine(Shared, problem);
        string expected = $"keepalive-agent: the state directory {state} cannot be used: {path}. Correct this, or choose another with --state-dir.\n";
        foreach (string[] how in new string[][] { ["--once"], ["--once", "--dry-run"], ["--interval", "1s"] })
        {
            var result = ProgramRun.ToEnd([ProgramRun.AgentPath, .. Run(state), .. how], timeout: TimeSpan.FromSeconds(20));
            // A dry run writes nothing and has no lock.
            if (!(how.Contains("--dry-run") && problem.Contains("/lock", StringComparison.Ordinal)))
            {
                Assert.Equal((4, expected), (result.ExitCode, result.Error));
            }
        }
        Assert.Equal(Kept, File.ReadAllText(Victim));
    }

    private string[] Run(string state) =>
        ["run", "--policies", Policy, "--state-dir", state, "--datapath", "pidfd", "--listen", "none", "--capture", "off", "--netns", "/proc/self/ns/net"];

    private string Shell(string[] through, string script)
    {
        var result = ProgramRun.ToEnd([.. through, "sh", "-e", "-c", $"umask 0; cd {Shared}; {script}", State, Victim]);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        return result.Output;
    }
}
