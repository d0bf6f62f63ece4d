using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>A tenant that tells the agent, in the kernel's place, which sockets there are: nothing is set for it, and nothing is told of it.</summary>
public sealed class TenantAimTests : IDisposable
{
    private const string Selected = "203.0.113.77";

    private readonly TestCgroup _cgroup = new();
    private readonly AgentProcess _agent = new();

    /// <summary>Before, the answers were taken for the kernel's: a socket that no policy selects was set through one of them, and the log told of a
    /// connection that did not exist through the other.</summary>
    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void AnswersOfSockDiag_ThatATenantSends_AreNotTakenForTheKernels(string datapath)
    {
        Live.Require("python3");
        if (datapath == "bpf")
        {
            _agent.UseBpf(_cgroup);
        }
        _agent.WritePolicy(PolicyText.For(Selected, PolicyText.GuideValues));
        using var tenant = new Tenant(Forger, Selected);
        var run = _agent.Start("--netns", tenant.NetnsPath, "--log-level", "debug");
        AgentProcess.WaitForEvent(run, 30, times: 2);

        string sent = tenant.Run.WaitForLine(line => line.StartsWith("sent ", StringComparison.Ordinal), TimeSpan.FromSeconds(30));

        // There was a socket to send to: else nothing would have been tried.
        Assert.DoesNotContain("to 0 sockets", sent, StringComparison.Ordinal);
        using var pages = AgentHttp.OverUnixSocket(Path.Combine(_agent.StateDirectory, "agent.sock"));
        Assert.DoesNotContain(Selected, pages.Get("/sockets").Body, StringComparison.Ordinal);
        Assert.DoesNotContain(Selected, run.Error, StringComparison.Ordinal);
        Assert.Equal("value 0", tenant.Run.WaitForLine(line => line.StartsWith("value ", StringComparison.Ordinal)));
    }

    /// <summary>Before, it counted as a connection to the first destination for as long as it lived.</summary>
    [Theory]
    [InlineData("pidfd")]
    [InlineData("bpf")]
    public void Socket_DisconnectedAndConnectedToAnother_IsJudgedAnew(string datapath)
    {
        Live.Require("python3");
        if (datapath == "bpf")
        {
            _agent.UseBpf(_cgroup);
        }
        _agent.WritePolicy(PolicyText.For("127.0.0.1", PolicyText.GuideValues));
        using var tenant = new Tenant(Turncoat);
        var run = _agent.Start("--netns", tenant.NetnsPath);
        tenant.Run.WaitForLine(line => line == "to 127.0.0.1: 1 700", TimeSpan.FromSeconds(20));
        tenant.Run.WaitForLine(line => line == "to 127.0.0.2: 0 7200", TimeSpan.FromSeconds(20));
        tenant.Run.WaitForLine(line => line == "to 127.0.0.1 again: 1 700", TimeSpan.FromSeconds(20));
        using var pages = AgentHttp.OverUnixSocket(Path.Combine(_agent.StateDirectory, "agent.sock"));
        Eventually.True(() => pages.Get("/sockets").Body.Contains("127.0.0.1:", StringComparison.Ordinal), TimeSpan.FromSeconds(5));
        Assert.False(run.HasExited, run.Error);
    }

    public void Dispose()
    {
        _agent.Dispose();
        _cgroup.Dispose();
    }

    // struct nlmsghdr and struct inet_diag_msg, to every sock_diag socket of the namespace that is not the kernel's.
    private const string Forger = """
        import socket, struct, sys, time
        listener = socket.create_server(("127.0.0.1", 0))
        own = socket.create_connection(listener.getsockname())
        cookie = struct.unpack("=II", own.getsockopt(socket.SOL_SOCKET, 57, 8))
        def message(seq, cookie, inode):
            name = struct.pack("!HH", own.getsockname()[1], 443) + socket.inet_aton("127.0.0.1").ljust(16, b"\0") + socket.inet_aton(sys.argv[1]).ljust(16, b"\0")
            body = struct.pack("=BBBB", 2, 1, 0, 0) + name + struct.pack("=III", 0, *cookie) + struct.pack("=IIIII", 0, 0, 0, 65534, inode)
            return struct.pack("=IHHII", 16 + len(body), 18, 2, seq, 0) + body
        s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
        s.bind((0, 0))
        print("ready")
        taken, refused, seen, end = 0, 0, set(), time.time() + 5
        while time.time() < end:
            for line in open("/proc/self/net/netlink").readlines()[1:]:
                words = line.split()
                port = int(words[2])
                if words[1] == "4" and port not in (0, s.getsockname()[0]):
                    seen.add(port)
                    for seq in range(1, 40):
                        for what in ((cookie, 1), ((4000000 + seq, 0), 2)):
                            try:
                                s.sendto(message(seq, *what), socket.MSG_DONTWAIT, (port, 0))
                                taken += 1
                            except OSError:
                                refused += 1
            time.sleep(0.02)
        print("sent %d and was refused %d times, to %d sockets" % (taken, refused, len(seen)))
        time.sleep(3)
        print("value %d" % own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        time.sleep(600)
        """;

    // connect(2): an address of the family AF_UNSPEC dissolves the association.
    private const string Turncoat = """
        import ctypes, socket, time
        libc = ctypes.CDLL(None)
        one, two = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.2", 0))
        own = socket.socket()
        print("ready")
        def values():
            return "%d %d" % (own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
        for server, expected, name in ((one, "1 700", "127.0.0.1"), (two, "0 7200", "127.0.0.2"), (one, "1 700", "127.0.0.1 again")):
            libc.connect(own.fileno(), bytes(16), 16)
            own.connect(server.getsockname())
            end = time.time() + 15
            while values() != expected and time.time() < end:
                time.sleep(0.05)
            print("to %s: %s" % (name, values()))
        time.sleep(600)
        """;
}
