using System.Globalization;
using System.Text;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Simulator.Tests.Discover;

/// <summary><c>keepalive-sim discover</c> through boxes of others, as a user who sees neither their processes nor their files. Timeouts are
/// drawn anew in each run.</summary>
[Trait("Discover", "long")]
public sealed class OtherBoxesTests : IDisposable
{
    /// <summary>A client, a router that masquerades, and a server, in namespaces that only this process tree sees.</summary>
    private const string Nat = """
        set -e
        mount -t tmpfs none /run/netns 2>/dev/null || { mkdir -p /run/netns; mount -t tmpfs none /run/netns; }
        for name in client nat server; do ip netns add $name; ip -n $name link set lo up; done
        ip link add c0 netns client type veth peer name r0 netns nat
        ip link add s0 netns server type veth peer name r1 netns nat
        ip -n client addr add 10.70.1.2/24 dev c0; ip -n client link set c0 up
        ip -n nat addr add 10.70.1.1/24 dev r0; ip -n nat link set r0 up
        ip -n nat addr add 10.70.2.1/24 dev r1; ip -n nat link set r1 up
        ip -n server addr add 10.70.2.2/24 dev s0; ip -n server link set s0 up
        ip -n client route add default via 10.70.1.1
        [ $ROUTE_BACK = 0 ] || ip -n server route add default via 10.70.2.1
        ip netns exec nat sysctl -qw net.ipv4.ip_forward=1
        ip netns exec nat nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }; add rule ip nat post oifname r1 masquerade'
        [ $DROP_INVALID = 0 ] || ip netns exec nat nft 'add table ip f; add chain ip f forw { type filter hook forward priority 0; }; add rule ip f forw ct state invalid drop'
        ip netns exec nat sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_established=$TIMEOUT net.netfilter.nf_conntrack_tcp_loose=$LOOSE
        [ -z "$RULE" ] || ip netns exec nat nft "add table ip l; add set ip l sources { type ipv4_addr; flags dynamic; size 100; }; add chain ip l forw { type filter hook forward priority -10; }; add rule ip l forw $RULE"
        ip netns exec server python3 -c "$SERVER" &
        ip netns exec client tcpdump -i c0 -n -tt -S -l -Z root tcp >$FRAMES &
        ip netns exec server sh -c "$READY" sh /proc/net/tcp :1B58
        ip netns exec client sh -c "$READY" sh /proc/net/packet ^[0-9a-f]
        exec ip netns exec client "$@"
        """;

    /// <summary>Waits until a file of /proc/net has a line: a listening socket, 7000 or 7001, or a capture.</summary>
    private const string Ready = "n=0; until grep -q \"$2\" $1 || [ $n -gt 300 ]; do n=$((n+1)); sleep 0.1; done";

    /// <summary>Keeps every connection until the other end closes it, or for so many seconds.</summary>
    private const string Keeping = """
        import os, socket, threading
        server = socket.create_server(("", 7000), backlog=500)
        def keep(one):
            one.settimeout(float(os.environ["CLOSES"]) or None)
            try:
                one.sendall(bytes.fromhex(os.environ.get("GREETING", "")))
                while one.recv(4096):
                    pass
            except OSError:
                pass
            one.close()
        while True:
            threading.Thread(target=keep, args=(server.accept()[0],), daemon=True).start()
        """;

    private readonly string _directory = Directory.CreateTempSubdirectory("keepalive-discover-test-").FullName;

    /// <summary>Only root may look into it.</summary>
    private readonly string _box;
    private readonly int _timeout = Random.Shared.Next(4, 8);

    public OtherBoxesTests() => _box = Directory.CreateDirectory(Path.Combine(_directory, "box"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>A NAT of the kernel's own. It resets if it can pass the packet on without a translation, else it is silent.</summary>
    [Theory]
    [InlineData(1, 0, "reset-on-next-packet")]
    [InlineData(0, 0, "drop-until-syn")]
    [InlineData(1, 1, "drop-until-syn")]
    public void Nat_OfTheKernel_IsMeasured(int routeBack, int dropInvalid, string expected)
    {
        var result = ThroughNat(loose: 0, routeBack, dropInvalid, closes: 0);

        AssertTimeout(_timeout, 0.6, result);
        AssertExpiry(expected, result, 7000);
        Assert.Contains("any", Strings(result, "refresh"));
    }

    /// <summary>The next packet of this end makes the entry anew. Nothing but a FIN that does not arrive shows that it was dropped.</summary>
    [Fact]
    public void Nat_ThatLearnsConnectionsAnew_IsFoundByTheFinOfTheFarEnd()
    {
        var result = ThroughNat(loose: 1, routeBack: 1, dropInvalid: 0, closes: _timeout + 5);

        AssertTimeout(_timeout, 0.6, result);
        Assert.Equal(["inside-revives"], Strings(result, "expiry"));
    }

    /// <summary>Without anything from the far end, the verdict says what is unknown.</summary>
    [Fact]
    public void Nat_ThatLearnsConnectionsAnewBehindASilentFarEnd_IsUnknown()
    {
        var result = ThroughNat(loose: 1, routeBack: 1, dropInvalid: 0, closes: 0);

        Assert.Equal(JsonValueKind.Null, result.GetProperty("idleTimeoutMostSeconds").ValueKind);
        Assert.Contains("inside-revives", Assert.Single(Strings(result, "unknown")), StringComparison.Ordinal);
    }

    /// <summary>A router that loses packets, or allows each source so many connections and drops or refuses others.</summary>
    [Theory]
    [InlineData("numgen random mod 100 < 5 drop")]
    [InlineData("ct state new add @sources { ip saddr ct count over 20 } drop")]
    [InlineData("ct state new add @sources { ip saddr ct count over 20 } reject with tcp reset")]
    public void Nat_LosesPacketsOrLimitsConnections_IsRightOrUnknown(string rule)
    {
        var result = ThroughNat(loose: 0, routeBack: 1, dropInvalid: 0, closes: 0, rule);

        // Where entries expire soon, room for further connections is found before their SYNs are given up.
        Assert.True(rule.Contains("count", StringComparison.Ordinal) || result.GetProperty("lostPackets").GetBoolean(), $"{result}");
        if (result.GetProperty("idleTimeoutMostSeconds").ValueKind == JsonValueKind.Null)
        {
            Assert.NotEmpty(Strings(result, "unknown"));
            return;
        }
        // Few connections make the interval wide.
        AssertTimeout(_timeout, 3, result);
        Assert.Contains("reset-on-next-packet", Strings(result, "expiry"));
        Assert.Contains("any", Strings(result, "refresh"));
    }

    /// <summary>Traffic that the far end sends first does not keep the connection.</summary>
    [Theory]
    [InlineData("SSH-2.0-OpenSSH_9.6p1 Debian-3\r\n", 0)]
    [InlineData("220 mail.example.org ESMTP\r\n", 0)]
    [InlineData("J\0\0\0\n8.0.36\0\x08\0\0\0abcdefgh\0\xff\xf7\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0caching_sha2_password\0", 10)]
    public void Nat_FarEndGreets_IsMeasured(string greeting, int closes)
    {
        var result = ThroughNat(loose: 0, routeBack: 1, dropInvalid: 0, closes, greeting: greeting);

        AssertTimeout(_timeout, 0.6, result);
        Assert.Equal(["reset-on-next-packet"], Strings(result, "expiry"));
        if (closes == 0)
        {
            // Else most connections of the capture end by the far end's FIN.
            AssertExpiry("reset-on-next-packet", result, 7000);
        }
        Assert.Contains("any", Strings(result, "refresh"));
        Assert.Equal(JsonValueKind.Null, result.GetProperty("farEndProbesSeconds").ValueKind);
    }

    /// <summary>The shorter timeout is measured: the far end's own.</summary>
    [Fact]
    public void Nat_FarEndClosesEarlier_IsTheFarEndsTimeout()
    {
        var result = ThroughNat(loose: 0, routeBack: 1, dropInvalid: 0, closes: _timeout - 2);

        AssertTimeout(_timeout - 2, 0.6, result);
        AssertExpiry("fin-both", result, 7000);
        Assert.Equal(["payload"], Strings(result, "refresh"));
        Assert.Contains("the far end itself", result.GetProperty("proxy").GetString(), StringComparison.Ordinal);
    }

    /// <summary>Behind a proxy with a longer timeout: the direct way shows that it is the far end.</summary>
    [Fact]
    public void HAProxy_FarEndClosesEarlier_IsTheFarEndsTimeout()
    {
        Live.Require("haproxy", "python3", "tcpdump");
        var configuration = Write("haproxy.cfg", $"""
            defaults
              mode tcp
              timeout connect 5s
              timeout client {_timeout + 10}s
              timeout server {_timeout + 10}s
            listen a
              bind 127.0.0.1:7001
              server s 127.0.0.1:7000

            """);
        var result = Local($"haproxy -q -f {configuration}", _timeout, "127.0.0.1:7001", "--direct", "127.0.0.1:7000");

        AssertTimeout(_timeout, 0.6, result);
        AssertExpiry("fin-both", result, 7001);
        Assert.True(result.GetProperty("direct").GetProperty("same").GetBoolean());
        Assert.Contains("the far end closes", result.GetProperty("proxy").GetString(), StringComparison.Ordinal);
    }

    /// <summary>HAProxy ends a connection when the shorter of its two timeouts has passed, on whichever side.</summary>
    [Theory]
    [InlineData(0, 0)]
    [InlineData(0, 3)]
    [InlineData(3, 0)]
    public void HAProxy_InTcpMode_IsAProxyThatCountsPayloadOnly(int longerAtTheClient, int longerAtTheServer)
    {
        Live.Require("haproxy", "python3", "tcpdump");
        var configuration = Write("haproxy.cfg", $"""
            defaults
              mode tcp
              timeout connect 5s
              timeout client {_timeout + longerAtTheClient}s
              timeout server {_timeout + longerAtTheServer}s
            listen a
              bind 127.0.0.1:7001
              server s 127.0.0.1:7000

            """);
        var result = Local($"haproxy -q -f {configuration}", "127.0.0.1:7001", "--direct", "127.0.0.1:7000");

        AssertTimeout(_timeout, 0.6, result);
        AssertExpiry("fin-both", result, 7001);
        Assert.Equal(["payload"], Strings(result, "refresh"));
        Assert.False(result.GetProperty("direct").GetProperty("same").GetBoolean());
        Assert.Contains("haproxy", Strings(result, "configurable"));
    }

    [Fact]
    public void Nginx_StreamProxyTimeout_IsAProxyThatCountsPayloadOnly()
    {
        Live.Require("nginx", "python3", "tcpdump");
        var configuration = Write("nginx.conf", $$"""
            load_module /usr/lib/nginx/modules/ngx_stream_module.so;
            user root root;
            daemon off;
            master_process off;
            pid {{_box}}/nginx.pid;
            error_log {{_box}}/error.log crit;
            events { worker_connections 1024; }
            stream { server { listen 127.0.0.1:7001; proxy_pass 127.0.0.1:7000; proxy_timeout {{_timeout}}s; } }

            """);
        var result = Local($"nginx -p {_box} -e {_box}/error.log -c {configuration}", "127.0.0.1:7001", "--direct", "127.0.0.1:7000");

        AssertTimeout(_timeout, 0.6, result);
        AssertExpiry("fin-both", result, 7001);
        Assert.Equal(["payload"], Strings(result, "refresh"));
        Assert.False(result.GetProperty("direct").GetProperty("same").GetBoolean());
        Assert.Contains("nginx-stream", Strings(result, "configurable"));
    }

    /// <summary>The far end itself closes. The direct way shows the same.</summary>
    [Fact]
    public void Nginx_KeepaliveTimeout_IsTheFarEnds()
    {
        Live.Require("nginx", "python3", "tcpdump");
        var configuration = Write("nginx.conf", $$"""
            user root root;
            daemon off;
            master_process off;
            pid {{_box}}/nginx.pid;
            error_log {{_box}}/error.log crit;
            events { worker_connections 512; }
            http {
              access_log off;
              client_body_temp_path {{_box}}/b; proxy_temp_path {{_box}}/p; fastcgi_temp_path {{_box}}/f; uwsgi_temp_path {{_box}}/u; scgi_temp_path {{_box}}/s;
              server { listen 127.0.0.1:7001; listen 127.0.0.1:7002; keepalive_timeout {{_timeout}}s; location / { return 200 "hello\n"; } }
            }

            """);
        var result = Local($"nginx -p {_box} -e {_box}/error.log -c {configuration}", "127.0.0.1:7001", "--direct", "127.0.0.1:7002", "--http", "/");

        AssertTimeout(_timeout, 0.6, result);
        AssertExpiry("fin-both", result, 7001);
        Assert.Equal(["payload"], Strings(result, "refresh"));
        Assert.True(result.GetProperty("direct").GetProperty("same").GetBoolean());
    }

    private string Frames => Path.Combine(_box, "frames");

    private string Write(string name, string text)
    {
        var path = Path.Combine(_box, name);
        File.WriteAllText(path, text);
        return path;
    }

    private JsonElement ThroughNat(int loose, int routeBack, int dropInvalid, int closes, string rule = "", string greeting = "")
    {
        Live.Require("nft", "python3", "tcpdump");
        string[] variables =
        [
            $"LOOSE={loose}", $"ROUTE_BACK={routeBack}", $"DROP_INVALID={dropInvalid}", $"TIMEOUT={_timeout}", $"CLOSES={closes}", $"SERVER={Keeping}", $"FRAMES={Frames}", $"READY={Ready}",
            $"RULE={rule}", $"GREETING={Convert.ToHexString(Encoding.Latin1.GetBytes(greeting))}",
        ];
        return Run(["env", .. variables, "sh", "-c", Nat, "sh"], "10.70.2.2:7000");
    }

    private JsonElement Local(string proxy, string target, params string[] more) => Local(proxy, 0, target, more);

    private JsonElement Local(string proxy, int closes, string target, params string[] more) => Run(
        [
            "env", $"CLOSES={closes}", $"SERVER={Keeping}", $"FRAMES={Frames}", $"READY={Ready}", "sh", "-c",
            $"ip link set lo up; python3 -c \"$SERVER\" & {proxy} & tcpdump -i lo -n -tt -S -l -Z root tcp >$FRAMES & "
                + "for one in tcp,:1B58 tcp,:1B59 packet,^[0-9a-f]; do sh -c \"$READY\" sh /proc/net/${one%,*} \"${one#*,}\"; done; exec \"$@\"", "sh",
        ],
        target, more);

    /// <summary>Runs the command in namespaces of its own, and discover in it as a stranger.</summary>
    private JsonElement Run(string[] surroundings, string target, params string[] more)
    {
        using var run = new ProgramRun(
        [
            "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", .. surroundings,
            .. Stranger.Command(_directory, _box), "discover", target, "--until", "30s", "-o", "json", .. more,
        ]);
        run.WaitForExit(TimeSpan.FromSeconds(120));
        return run.Output.Split('\n')[0] is { Length: > 0 } line ? JsonDocument.Parse(line).RootElement : throw new InvalidOperationException(run.Error);
    }

    /// <summary>The class is the expected one, and a capture shows the same.</summary>
    private void AssertExpiry(string expected, JsonElement result, int port)
    {
        Assert.Equal(expected, CapturedExpiry.Of(File.ReadLines(Frames), port));
        Assert.Equal([expected], Strings(result, "expiry"));
    }

    private static void AssertTimeout(int timeout, double width, JsonElement result)
    {
        Assert.True(result.GetProperty("idleTimeoutMostSeconds").ValueKind == JsonValueKind.Number, $"{timeout} s: {result}");
        var (least, most) = (result.GetProperty("idleTimeoutLeastSeconds").GetDouble(), result.GetProperty("idleTimeoutMostSeconds").GetDouble());
        Assert.True(least <= timeout + 0.05 && most >= timeout - 0.05 && most - least <= width,
            string.Create(CultureInfo.InvariantCulture, $"{timeout} s: {least} to {most}: {result}"));
    }

    private static string[] Strings(JsonElement result, string field) => [.. result.GetProperty(field).EnumerateArray().Select(item => item.GetString()!)];
}
