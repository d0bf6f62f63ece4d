using System.Globalization;
using System.Text.Json;
using Keepalive.Agent.Tests.Deploy;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The image's files alone, read-only, with exactly the DaemonSet's capabilities: all features for this image work.</summary>
[TestClass(DisableParallelization = true)]
[Trait("Node", "whole")]
public sealed class ImageTests : IClassFixture<ImageTests.Shared>, IDisposable
{
    private static readonly KeepaliveValues s_untouched = new(false, 7200, 75, 9);
    private static readonly KeepaliveValues s_set = new(true, 60, 10, 6);

    private readonly Lab _lab;
    private readonly ImageRoot _image;
    private readonly string _address;
    private readonly int _port;

    public ImageTests(Shared shared)
    {
        Live.Require("bash", "capsh", "dpkg", "ldd", "mount");
        _image = shared.Image;
        _image.ForgetState();
        _lab = new Lab();
        // The agent sees the whole machine here. No other test, in this run or another, has connections to this address.
        _address = string.Create(CultureInfo.InvariantCulture, $"198.18.{Environment.ProcessId / 250 % 250}.{Environment.ProcessId % 250 + 1}");
        _lab.AddServerAddress(_address);
        _port = _lab.Server.Listen();
    }

    [Fact]
    public void Image_Files_AreTheProgramAndWhatItRunsWith()
    {
        Assert.True(_image.Has(_image.EntryPoint));
        AssertFiles(_image, "keepalive-agent");
        Assert.InRange(_image.Files.Sum(file => new FileInfo(_image.Root + file).Length), 20_000_000, 45_000_000);
    }

    [Fact]
    public void SimulatorsImage_Files_AreTheProgramAndWhatItRunsWith()
    {
        using var image = new ImageRoot(ProgramRun.SimulatorPath);
        AssertFiles(image, "keepalive-sim");

        var simulator = ProgramRun.ToEnd(image.CommandLine(["balancers"]), _lab.Client);
        Assert.Equal((0, ""), (simulator.ExitCode, simulator.Error));
        Assert.Contains("aws-nlb", simulator.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Support_InTheImage_AgreesWithAFullyPrivilegedRun()
    {
        var outside = Answers(ProgramRun.ToEnd([ProgramRun.AgentPath, "support", "-o", "json"]));
        var inside = Answers(Run(arguments: ["support", "-o", "json"]));

        Assert.Contains("yes", inside.Values);
        Assert.Equal(outside, inside);
    }

    [Theory]
    [InlineData("bpf")]
    [InlineData("pidfd")]
    public void RunOnce_SetsTheSocketsOfTheWholeNode(string datapath)
    {
        int id = _lab.Client.Connect(_address, _port);
        _image.WritePolicies(PolicyText.For(_address, "time: 60s, interval: 10s, probes: 6"));

        var run = Run(arguments: ["run", "--policies=/etc/keepalive-agent/policies", "--once", "--datapath", datapath]);

        Assert.True(run.ExitCode == 0, run.Output + run.Error);
        Assert.Contains($"→ {_address}:{_port}", run.Output, StringComparison.Ordinal);
        Assert.Equal(s_set, _lab.Client.Get(id));
        Assert.True(File.Exists(Path.Combine(_image.StateDirectory, "state")));
    }

    [Fact]
    public void Run_WithTheManifestsArguments_HasItsCapabilitiesAndStopsCleanly()
    {
        _image.WritePolicies(PolicyText.For(_address, "time: 60s, interval: 10s, probes: 6"));
        int id = _lab.Client.Connect(_address, _port);
        // In the client's network namespace, where the port is free.
        using var run = new ProgramRun(_image.CommandLine([.. Manifests.Container().At("args").Texts(), "--restore-on-exit"]), _lab.Client);

        Eventually.True(() => _lab.Client.Get(id) == s_set, TimeSpan.FromSeconds(30));
        var expected = ImageRoot.Capabilities.Select(name => (ulong)1 << (int)Enum.Parse<Number>(name)).Aggregate((a, b) => a | b);
        foreach (var set in new[] { "CapPrm", "CapEff", "CapBnd" })
        {
            Assert.Equal(expected, StatusMask(run.Pid, set));
        }
        Assert.Equal(0ul, StatusMask(run.Pid, "CapInh"));
        Assert.Contains("keepalive_agent_info{", _lab.Client.Run("curl", "-sS", "http://127.0.0.1:9464/metrics").Output, StringComparison.Ordinal);

        run.Terminate();
        Assert.True(run.WaitForExit() == 0, run.Error);
        Assert.Equal(s_untouched, _lab.Client.Get(id));
        // JSON lines, as the manifest requests, and no errors.
        Assert.All(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries), line =>
        {
            using var entry = JsonDocument.Parse(line);
            Assert.Contains(entry.RootElement.GetProperty("LogLevel").GetString(), new[] { "Information", "Debug" });
        });
    }

    /// <summary>Everything that loads code late, all at once: TLS, the eBPF programs, the capture.</summary>
    [Fact]
    public void Run_ApiServerWithTls_IsWatchedAndNothingButTheImageIsMapped()
    {
        using var api = FakeApiServer.Start(tls: true).WithGloo();
        api.Token = "token";
        _image.WriteServiceAccount("token", api.AuthorityPem);
        int id = _lab.Client.Connect(_address, _port);
        using var run = new ProgramRun(_image.CommandLine(
            ["run", "--kubernetes=on", "--listen=none", "--datapath=bpf", "--capture=on", "--interval=1s"],
            variables: ["KUBERNETES_SERVICE_HOST=127.0.0.1", $"KUBERNETES_SERVICE_PORT={api.Address.Port}"]));
        Eventually.True(() => api.Watches >= 6, TimeSpan.FromSeconds(60));

        api.Apply(ClusterText.ExternalService(_address));
        api.Apply(ClusterText.Policy("""{"time":"60s","interval":"10s","probes":6}"""));
        Eventually.True(() => _lab.Client.Get(id) == s_set, TimeSpan.FromSeconds(30));
        // KEEPALIVE_WATCH_SECONDS=60 checks for a minute.
        Thread.Sleep(TimeSpan.FromSeconds(int.Parse(Environment.GetEnvironmentVariable("KEEPALIVE_WATCH_SECONDS") ?? "0", CultureInfo.InvariantCulture)));
        api.Apply(ClusterText.Policy("""{"time":"50s","interval":"10s","probes":6}"""));
        Eventually.True(() => _lab.Client.Get(id) == s_set with { Idle = 50 }, TimeSpan.FromSeconds(30));

        var mapped = File.ReadLines($"/proc/{run.Pid}/maps").Select(line => line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries))
            // /proc shows shared memory without a file as /dev/zero.
            .Where(fields => fields.Length == 6 && fields[5].StartsWith('/') && !fields[5].StartsWith("/dev/zero", StringComparison.Ordinal)).Select(fields => Path.GetFileName(fields[5])).Distinct().ToList();
        Assert.Contains("libssl.so.3", mapped);
        Assert.All(mapped, file => Assert.Matches(@"^(keepalive-agent|libc\.so\.6|libm\.so\.6|ld-linux-.*|libssl\.so\.3|libcrypto\.so\.3)$", file));
        run.Terminate();
        Assert.True(run.WaitForExit() == 0, run.Error);
    }

    [Fact]
    public void Probes_AreCapturedAndReadFromAFile()
    {
        int id = _lab.Client.Connect(_address, _port);
        _lab.Client.EnableKeepalive(id, idle: 1, interval: 1, count: 5);
        using var live = new ProgramRun(_image.CommandLine(["probes", "--interface", Lab.ClientInterface, "-o", "json"]), _lab.Client);
        live.WaitForLine(line => line.Contains("\"kind\":\"reply\"", StringComparison.Ordinal));
        live.Signal("INT");
        Assert.True(live.WaitForExit() == 0, live.Error);

        // Reading a file needs no privilege. The file is in the state directory because only that is writable.
        using (var tcpdump = new ProgramRun(
            ["tcpdump", "-i", Lab.ClientInterface, "-w", Path.Combine(_image.StateDirectory, "a.pcap"), "-U", "-Z", "root", "-c", "6", "tcp"], _lab.Client))
        {
            Assert.True(tcpdump.WaitForExit() == 0, tcpdump.Error);
        }
        var read = Run(arguments: ["probes", "/run/keepalive-agent/a.pcap", "-o", "json"]);
        Assert.True(read.ExitCode == 0, read.Error);
        Assert.Contains("\"kind\":\"probe\"", read.Output, StringComparison.Ordinal);
    }

    /// <summary>The table in docs/kubernetes.md: what is lost without each capability.</summary>
    [Theory]
    [InlineData("SYS_ADMIN", new[] { "run", "--policies=/etc/keepalive-agent/policies", "--once" }, 3, "CAP_SYS_ADMIN is missing")]
    [InlineData("SYS_PTRACE", new[] { "run", "--policies=/etc/keepalive-agent/policies", "--once" }, 3, "CAP_SYS_PTRACE is missing")]
    [InlineData("NET_ADMIN", new[] { "run", "--policies=/etc/keepalive-agent/policies", "--once" }, 0, "using pidfd")]
    [InlineData("NET_RAW", new[] { "probes", "--interface", "lo" }, 3, "CAP_NET_RAW is missing")]
    [InlineData("DAC_READ_SEARCH", new[] { "run", "--policies=/etc/keepalive-agent/policies", "--once", "--datapath", "pidfd" }, 4, "no process was found")]
    public void Run_WithoutACapability_LosesWhatThePageSays(string capability, string[] arguments, int exitCode, string said)
    {
        _image.WritePolicies(PolicyText.For(_address, "time: 60s, interval: 10s, probes: 6"));
        // An application of another user, with a FUSE file system mounted.
        using var application = new ProgramRun(
            [
                "unshare", "--mount", "--propagation", "private", "--", "bash", "-c",
                $"""
                set -e
                exec 9<>/dev/fuse
                mkdir -p '{_image.StateDirectory}/fuse'
                mount -i -t fuse none '{_image.StateDirectory}/fuse' -o fd=9,rootmode=40000,user_id=0,group_id=0
                exec setpriv --reuid 65534 --regid 65534 --clear-groups --pdeathsig KILL bash -c 'exec 3<>/dev/tcp/{_address}/{_port}; echo connected; exec sleep 300 9<&-'
                """,
            ],
            _lab.Client);
        application.WaitForLine(line => line == "connected");
        Assert.Contains(capability, ImageRoot.Capabilities);

        var without = Run(capability, arguments: arguments);
        Assert.Equal(exitCode, without.ExitCode);
        Assert.Contains(said, without.Output + without.Error, StringComparison.Ordinal);

        // With all capabilities the connection is set.
        if (arguments[0] == "run")
        {
            var with = Run(arguments: arguments);
            Assert.True(with.ExitCode == 0, with.Output + with.Error);
            Assert.Equal("keepalive", Assert.Single(Ss.Read(_lab.Client), s => s.Remote.ToString() == $"{_address}:{_port}").Timer);
        }
    }

    public void Dispose()
    {
        _lab?.Dispose();
    }

    /// <summary>One image for all of these tests, assembled by the first that runs.</summary>
    public sealed class Shared : IDisposable
    {
        private ImageRoot? _image;

        internal ImageRoot Image => _image ??= new ImageRoot(ProgramRun.AgentPath);

        public void Dispose() => _image?.Dispose();
    }

    private static void AssertFiles(ImageRoot image, string program)
    {
        string[] expected =
        [
            "/etc/nsswitch.conf", "/etc/passwd", "/etc/ssl/certs/ca-certificates.crt", "/usr/bin/" + program,
            "ld-linux", "libc.so.6", "libcrypto.so.3", "libm.so.6", "libssl.so.3",
        ];
        Assert.Equal(expected, image.Files.Where(file => !file.StartsWith("/usr/share/doc/", StringComparison.Ordinal)).Select(Known).Distinct().Order(StringComparer.Ordinal));
        // The notices, with the licences that they link to, and the system's packages.
        const string notices = "/usr/share/doc/keepalive/";
        Assert.Equal(
            ["LICENSE", "THIRD-PARTY-NOTICES.md", .. Directory.GetFiles(Path.Combine(Repository.Root, "licenses")).Select(file => "licenses/" + Path.GetFileName(file)).Order(StringComparer.Ordinal),
                "packages", "src/Agent/Bpf/LICENSE.BSD-2-Clause", "src/Agent/Bpf/LICENSE.GPL-2.0"],
            image.Files.Where(file => file.StartsWith(notices, StringComparison.Ordinal)).Select(file => file[notices.Length..]));
        Assert.All(image.Files.Where(file => file.EndsWith("/copyright", StringComparison.Ordinal)), file => Assert.Matches("/(libc6|libssl3(t64)?)/", file));
        Assert.Equal(
            ["ca-certificates", "libc6", "libssl3"],
            File.ReadLines(image.Root + notices + "packages").Select(line => line.Split('\t')[1].Replace("t64", "", StringComparison.Ordinal)));
    }

    /// <summary>A library by its name, in the directory of any architecture.</summary>
    private static string Known(string path) =>
        path.Contains("/ld-linux", StringComparison.Ordinal) ? "ld-linux" : path.Contains("/lib", StringComparison.Ordinal) ? Path.GetFileName(path) : path;

    private CommandResult Run(string? without = null, params string[] arguments) => ProgramRun.ToEnd(_image.CommandLine(arguments, without), _lab.Client);

    private static Dictionary<string, string> Answers(CommandResult support)
    {
        Assert.True(support.ExitCode == 0, support.Error);
        return support.Lines.Select(line => JsonDocument.Parse(line).RootElement)
            .Where(feature => feature.TryGetProperty("feature", out _))
            .ToDictionary(feature => feature.GetProperty("feature").GetString()!, feature => feature.GetProperty("answer").GetString()!);
    }

    private static ulong StatusMask(int pid, string name) =>
        ulong.Parse(File.ReadLines($"/proc/{pid}/status").First(line => line.StartsWith(name + ":", StringComparison.Ordinal))[(name.Length + 1)..].Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    /// <summary>The bits of capability.h, by their Kubernetes names.</summary>
    private enum Number
    {
        DAC_READ_SEARCH = 2,
        NET_ADMIN = 12,
        NET_RAW = 13,
        SYS_PTRACE = 19,
        SYS_ADMIN = 21,
    }
}
