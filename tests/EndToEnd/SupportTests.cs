using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The output of <c>support</c>, and that <c>run</c> agrees with it.</summary>
public sealed class SupportTests : IDisposable
{
    private static readonly string[] s_inUserNamespace = ["unshare", "--user", "--map-root-user", "--net"];

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-support");

    public SupportTests()
    {
        Live.Require();
        File.WriteAllText(PolicyPath, PolicyText.For("203.0.113.1", PolicyText.GuideValues));
    }

    /// <summary>Paths that cannot be attached to, and the reason for each.</summary>
    public static TheoryData<string, string> WrongCgroups => new()
    {
        { "/nonexistent", "it does not exist" },
        { "/etc/hostname/below", "it is not a directory" },
        { "/etc", "it is on another file system" },
        { "cgroup.procs", "it is not a directory" },
        { "version 1", "it is of version 1" },
    };

    private string PolicyPath => Path.Combine(_directory.FullName, "policy.yaml");

    [Fact]
    public void Support_OnThisMachine_AnswersForEachFeatureAndNamesAutosChoice()
    {
        var table = ProgramRun.ToEnd([ProgramRun.AgentPath, "support"]);
        Assert.Equal(0, table.ExitCode);
        Assert.Contains("auto takes bpf: everything it needs is here", table.Output, StringComparison.Ordinal);
        var lines = Json();
        Assert.All(lines.SkipLast(1), line => Assert.Equal("yes", line.GetProperty("answer").GetString()));
        Assert.True(lines.Count > 10);
        Assert.Equal("bpf", lines[^1].GetProperty("auto").GetString());
    }

    [Fact]
    public void Support_FeatureMissing_DistinguishesNoFromUnknown()
    {
        var lines = Json("setpriv", "--bounding-set=-net_admin");
        var missing = lines.Single(line => line.TryGetProperty("feature", out var name) && name.GetString() == "CAP_NET_ADMIN");
        Assert.Equal("no", missing.GetProperty("answer").GetString());
        var program = lines.Single(line => line.TryGetProperty("feature", out var name) && name.GetString()!.Contains("sock_ops", StringComparison.Ordinal));
        Assert.Equal("inconclusive", program.GetProperty("answer").GetString());
        Assert.Contains("CAP_NET_ADMIN is missing", program.GetProperty("detail").GetString(), StringComparison.Ordinal);
        Assert.Equal("pidfd", lines[^1].GetProperty("auto").GetString());
        Assert.Contains("CAP_NET_ADMIN", lines[^1].GetProperty("reason").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(WrongCgroups))]
    public void Cgroup_NotOfVersion2_IsReportedBySupportAndByRun(string what, string why)
    {
        string path = what switch
        {
            "cgroup.procs" => Path.Combine(TestCgroup.Root!, what),
            "version 1" => FirstOfVersion1(),
            _ => what,
        };
        string expected = $"{path} is not a cgroup version 2 directory: {why}; version 2 is mounted at {TestCgroup.Root}: use that or a directory in it";
        var rows = Rows([], "--cgroup", path);
        Assert.Equal(("no", expected), (rows["cgroup version 2"].Answer, rows["cgroup version 2"].Detail));
        Assert.Equal("pidfd", rows[""].Auto);

        // Refused even if it would not be attached to.
        Assert.Equal((3, $"keepalive-agent: the bpf datapath cannot be used: {expected}. See 'keepalive-agent support'.\n"), Run("bpf", path));
        Assert.Equal((3, $"keepalive-agent: the bpf datapath cannot be used: {expected}. See 'keepalive-agent support'.\n"), Run("bpf", path, "--once", "--dry-run"));
        Assert.Equal((0, $"keepalive-agent: the bpf datapath cannot be used: {expected}; using pidfd\n"), Run("auto", path, "--once", "--dry-run"));
        var (code, error) = Run("pidfd", path, "--once", "--dry-run");
        Assert.Equal(2, code);
        Assert.StartsWith($"keepalive-agent: --cgroup: {expected}\n", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("support")]
    [InlineData("run", "--once", "--dry-run", "--policies", "/nonexistent")]
    public void Cgroup_Empty_IsWrongUsage(params string[] command)
    {
        var result = ProgramRun.ToEnd([ProgramRun.AgentPath, .. command, "--cgroup", ""]);
        Assert.Equal(2, result.ExitCode);
        Assert.StartsWith("keepalive-agent: --cgroup is empty\n", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void UserNamespace_EveryCapabilityInIt_ReasonIsTheUserNamespace()
    {
        const string reason = "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN in the initial user namespace are missing: the agent is in another user namespace, and what it "
            + "is allowed there does not count for BPF";
        var rows = Rows(s_inUserNamespace, "--state-dir", _directory.FullName);
        foreach (var (name, row) in rows.Where(row => row.Key.Contains('(', StringComparison.Ordinal) && row.Value.UsedBy == "bpf"))
        {
            Assert.Equal((name, "inconclusive", reason), (name, row.Answer, row.Detail));
        }
        Assert.All(["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"], name =>
        {
            Assert.Equal("no", rows[name].Answer);
            Assert.StartsWith($"{name} in the initial user namespace, for ", rows[name].Needs, StringComparison.Ordinal);
        });
        Assert.Equal("yes", rows["CAP_SYS_ADMIN"].Answer);
        Assert.Equal("yes", rows["cgroup version 2"].Answer);
        Assert.Equal("pidfd", rows[""].Auto);
        var run = ProgramRun.ToEnd([.. s_inUserNamespace, .. RunCommand("bpf"), "--once", "--dry-run"]);
        Assert.Equal((3, $"keepalive-agent: the bpf datapath cannot be used: {reason}. See 'keepalive-agent support'.\n"), (run.ExitCode, run.Error));
    }

    [Fact]
    public void Nobody_NoPrivileges_EachRowHasItsOwnReason()
    {
        // The test's tree may be unreadable for this user.
        var rows = Rows(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"], "--state-dir", "/root/keepalive");
        Assert.Equal(("yes", TestCgroup.Root), (rows["cgroup version 2"].Answer, rows["cgroup version 2"].Detail));
        Assert.All(["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_NET_RAW"], name =>
        {
            Assert.Equal("no", rows[name].Answer);
            Assert.StartsWith($"{name}, for ", rows[name].Needs, StringComparison.Ordinal);
        });
        Assert.Equal("no", rows["state directory"].Answer);
        Assert.Contains("permission denied", rows["state directory"].Detail, StringComparison.Ordinal);
        Assert.Equal("yes", rows["libpcap"].Answer);
        Assert.Equal("inconclusive", rows["capture packets"].Answer);
        Assert.StartsWith("CAP_NET_RAW is missing", rows["capture packets"].Detail, StringComparison.Ordinal);
        Assert.Null(rows[""].Auto);
    }

    [Fact]
    public void Capabilities_WithoutSysAdmin_StandForThemselves()
    {
        var without = Rows(["setpriv", "--bounding-set=-bpf,-perfmon"]);
        Assert.All(["CAP_BPF", "CAP_PERFMON"], name => Assert.Equal(("yes", "part of CAP_SYS_ADMIN"), (without[name].Answer, without[name].Detail)));
        Assert.Equal("yes", without["read sockets (iter/tcp)"].Answer);
        var neither = Rows(["setpriv", "--bounding-set=-perfmon,-sys_admin"]);
        Assert.Equal(("yes", "no"), (neither["CAP_BPF"].Answer, neither["CAP_PERFMON"].Answer));
        Assert.Equal("inconclusive", neither["read sockets (iter/tcp)"].Answer);
        Assert.StartsWith("CAP_PERFMON is missing", neither["read sockets (iter/tcp)"].Detail, StringComparison.Ordinal);
    }

    [Fact]
    public void StateDirectory_OfEachKind_IsTestedWithoutATrace()
    {
        string fresh = Path.Combine(_directory.FullName, "not", "yet");
        Assert.Equal("yes", Rows([], "--state-dir", fresh)["state directory"].Answer);
        Assert.Equal([PolicyPath], Directory.GetFileSystemEntries(_directory.FullName));
        var file = Rows([], "--state-dir", PolicyPath)["state directory"];
        Assert.Equal(("no", $"{PolicyPath} is not a directory"), (file.Answer, file.Detail));
        var readOnly = Rows(["unshare", "--mount", "sh", "-c", $"mount -t tmpfs -o ro none {_directory.FullName}; exec \"$0\" \"$@\""], "--state-dir", fresh);
        Assert.Equal(("no", $"{_directory.FullName} is read-only"), (readOnly["state directory"].Answer, readOnly["state directory"].Detail));
        Assert.Null(readOnly[""].Auto);
    }

    [Fact]
    public void Library_NotInstalled_IsInTheShippedProgramAndNamedByAQuickBuild()
    {
        var ships = Rows(Hiding("libpcap[.]so[.][01]"));
        Assert.Equal("yes", ships["libpcap"].Answer);
        Assert.Equal("yes", ships["one executable"].Answer);

        var quick = Rows(Hiding("libpcap[.]so[.][01]"), ProgramRun.FrameworkDependentAgentPath, []);
        Assert.Equal("no", quick["libpcap"].Answer);
        Assert.Contains("libpcap0.8", quick["libpcap"].Needs, StringComparison.Ordinal);
        Assert.Equal("inconclusive", quick["capture packets"].Answer);
        Assert.Equal(("no", "'make build'; this is a quick build"), (quick["one executable"].Answer, quick["one executable"].Needs));
        // Capturing does not need what setting needs.
        Assert.Equal("bpf", quick[""].Auto);
    }

    /// <summary>Regression: the runtime would abort with 134 at the first request.</summary>
    [Theory]
    [InlineData("sockets")]
    [InlineData("run", "--listen", "none", "--once")]
    public void OpenSsl_NotInstalled_IsNamedWithItsPackageBeforeTheClusterIsAsked(params string[] command)
    {
        var run = ProgramRun.ToEnd(
            [.. Hiding("libssl[.]so"), ProgramRun.AgentPath, .. command, "--kubernetes-api", "https://127.0.0.1:1/", "--state-dir", _directory.FullName]);

        Assert.Equal(
            (3, "keepalive-agent: OpenSSL is missing (libssl.so.3), which the cluster's API at https://127.0.0.1:1/ needs. Install it (Debian: libssl3; "
                + "Fedora: openssl-libs), or use --kubernetes off.\n"),
            (run.ExitCode, run.Error));
    }

    [Theory]
    [InlineData("support")]
    [InlineData("check", "-")]
    [InlineData("run", "--policies", "policy.yaml")]
    public void Descriptors_TooFew_AreReported(params string[] command)
    {
        // With fewer than about forty the runtime itself does not start.
        var result = ProgramRun.ToEnd(["sh", "-c", "ulimit -n 48; exec \"$0\" \"$@\"", ProgramRun.AgentPath, .. command]);
        Assert.Equal(
            (3, "keepalive-agent: only 48 file descriptors are allowed, 256 are needed at least. Raise the limit: ulimit -n, or LimitNOFILE= in the systemd unit.\n"),
            (result.ExitCode, result.Error));
    }

    [Fact]
    public void Json_Quotes_AreAsWritten()
    {
        var result = ProgramRun.ToEnd([ProgramRun.AgentPath, "support", "-o", "json", "--cgroup", "/it's\u001b[31m"]);
        Assert.Contains("/it's\\u001B[31m is not a cgroup", result.Output, StringComparison.Ordinal);
        Assert.Contains("applications' own", result.Output, StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private string[] RunCommand(string datapath) =>
    [
        ProgramRun.AgentPath, "run", "--policies", PolicyPath, "--state-dir", Path.Combine(_directory.FullName, "state"), "--netns", "/proc/self/ns/net",
        "--datapath", datapath,
    ];

    private (int Code, string Error) Run(string datapath, string cgroup, params string[] more)
    {
        var result = ProgramRun.ToEnd([.. RunCommand(datapath), "--cgroup", cgroup, .. more.Length == 0 ? ["--listen", "none"] : more]);
        return (result.ExitCode, result.Error);
    }

    private static string FirstOfVersion1()
    {
        var mount = File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains(" - cgroup cgroup ", StringComparison.Ordinal))
            .Select(line => line.Split(' ')[4]).FirstOrDefault();
        Assert.SkipWhen(mount is null, "this machine has no cgroup version 1 hierarchy");
        return mount!;
    }

    /// <summary>A prefix that runs a command without the shared libraries of that name.</summary>
    private static string[] Hiding(string name) =>
    [
        "unshare", "--mount", "sh", "-c",
        $"for f in $(ldconfig -p | sed -n 's/.*=> \\(.*{name}.*\\)$/\\1/p'); do mount --bind /dev/null $f; done; exec \"$0\" \"$@\"",
    ];

    /// <summary>The rows by name. The choice in the last line has the empty name.</summary>
    private static Dictionary<string, Row> Rows(string[] without, params string[] more) => Rows(without, ProgramRun.AgentPath, more);

    private static Dictionary<string, Row> Rows(string[] without, string program, string[] more)
    {
        var result = ProgramRun.ToEnd([.. without, program, "support", "-o", "json", .. more]);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        return result.Lines.Select(line => JsonSerializer.Deserialize<Row>(line, JsonSerializerOptions.Web)!).ToDictionary(row => row.Feature ?? "");
    }

    private static List<JsonElement> Json(params string[] without)
    {
        var result = ProgramRun.ToEnd([.. without, ProgramRun.AgentPath, "support", "-o", "json"]);
        Assert.Equal(0, result.ExitCode);
        return [.. result.Lines.Select(line => JsonDocument.Parse(line).RootElement)];
    }

    private sealed record Row(string? Feature, string? UsedBy, string? Answer, string? Needs, string? Detail, string? Auto, string? Reason);
}
