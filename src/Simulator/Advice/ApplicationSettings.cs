using System.Collections.Frozen;
using System.Collections.Immutable;
using Keepalive.Config;
using Keepalive.Config.Reading;

namespace Keepalive.Simulator.Advice;

/// <summary>The settings of applications by name.</summary>
/// <remarks>docs/applications.md has the same as a table; a test compares the two.</remarks>
internal static class ApplicationSettings
{
    private const string MySqlConnectorJ = "https://dev.mysql.com/doc/connector-j/en/connector-j-connp-props-networking.html";

    /// <summary>All of them, those of one application together.</summary>
    public static ImmutableArray<ApplicationSetting> All { get; } =
    [
        new()
        {
            Names = ["postgres", "libpq"],
            Where = "libpq and programs on it (psql, psycopg, PHP, Ruby), in the connection string",
            Lines = static v => [$"keepalives=1 keepalives_idle={v.Time} keepalives_interval={v.Interval} keepalives_count={v.Probes}"],
            Off = "keepalives=0",
            Default = KeepaliveSettings.LinuxDefaults,
            Remark = "libpq enables keepalive by itself, with the system's values.",
            Source = "https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-KEEPALIVES-IDLE",
        },
        new()
        {
            Names = ["postgres"],
            Where = "PostgreSQL server, in postgresql.conf",
            Lines = static v => [$"tcp_keepalives_idle = {v.Time}", $"tcp_keepalives_interval = {v.Interval}", $"tcp_keepalives_count = {v.Probes}"],
            Default = KeepaliveSettings.LinuxDefaults,
            Remark = "The server enables keepalive by itself, with the system's values.",
            Source = "https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-TCP-KEEPALIVES-IDLE",
        },
        new()
        {
            Names = ["npgsql"],
            Where = "Npgsql 5 or later (.NET), in the connection string",
            Values = static (time, advised) => advised with { Time = time, Probes = KeepaliveSettings.LinuxDefaults.Probes },
            Lines = static v => [$"Tcp Keepalive=true;Tcp Keepalive Time={v.Time};Tcp Keepalive Interval={v.Interval}"],
            Heartbeat = static seconds => [$"Keepalive={seconds}"],
            Remark = "The number of probes is the system's. Keepalive=SECONDS, without Tcp, sends a query while no other runs.",
            Source = "https://www.npgsql.org/doc/keepalive.html",
        },
        new()
        {
            Names = ["jdbc", "pgjdbc"],
            Where = "pgJDBC, in the URL, and the client's sysctls",
            Lines = static v => ["tcpKeepAlive=true", .. Sysctls(v)],
            Remark = "pgJDBC switches keepalive on or off (default: off). The values are those of the network namespace.",
            Source = "https://jdbc.postgresql.org/documentation/use/",
        },
        new()
        {
            Names = ["jdbc", "mysql"],
            Where = "MySQL Connector/J, in the URL, and the client's sysctls",
            Lines = static v => ["tcpKeepAlive=true", .. Sysctls(v)],
            Off = "tcpKeepAlive=false",
            Remark = "Connector/J switches keepalive on or off (default: on). The values are those of the network namespace.",
            Source = MySqlConnectorJ,
        },
        new()
        {
            Names = ["mysql"],
            Where = "libmysqlclient and programs on it, the client's sysctls",
            Lines = Sysctls,
            Remark = "libmysqlclient always enables keepalive and has no setting for the values. Go's driver has Go's defaults.",
            Source = "https://github.com/mysql/mysql-server/blob/8.0/sql-common/client.cc",
        },
        new()
        {
            Names = ["redis"],
            Where = "Redis server, in redis.conf",
            Values = static (time, _) => new(time, Math.Max(1, time / 3), 3),
            Default = new(300, 100, 3),
            Lines = static v => [$"tcp-keepalive {v.Time}"],
            Off = "tcp-keepalive 0",
            Remark = "Redis probes again after a third of the time, and gives up after 3 probes.",
            Source = "https://redis.io/docs/latest/develop/reference/clients/#tcp-keepalive",
        },
        new()
        {
            Names = ["redis", "redis-py"],
            Where = "redis-py",
            Lines = static v =>
            [
                "redis.Redis(socket_keepalive=True, socket_keepalive_options={",
                $"    socket.TCP_KEEPIDLE: {v.Time}, socket.TCP_KEEPINTVL: {v.Interval}, socket.TCP_KEEPCNT: {v.Probes}}})",
            ],
            Heartbeat = static seconds => [$"redis.Redis(health_check_interval={seconds})"],
            Remark = "health_check_interval sends a PING before a command on a connection that was idle for so long, and reconnects if it is "
                + "lost. Between commands it sends nothing, except for PubSub, while get_message() or listen() is called at least that often.",
            Source = "https://redis-py.readthedocs.io/en/stable/connections.html",
        },
        new()
        {
            Names = ["redis", "lettuce"],
            Where = "Lettuce (Java)",
            Lines = static v =>
            [
                "SocketOptions.KeepAliveOptions.builder().enable()",
                $"    .idle(Duration.ofSeconds({v.Time})).interval(Duration.ofSeconds({v.Interval})).count({v.Probes}).build()",
            ],
            Source = "https://redis.io/docs/latest/develop/clients/lettuce/produsage/",
        },
        new()
        {
            Names = ["go"],
            Where = "Go 1.23 or later",
            Lines = static v =>
            [
                "net.Dialer{KeepAliveConfig: net.KeepAliveConfig{",
                $"    Enable: true, Idle: {v.Time} * time.Second, Interval: {v.Interval} * time.Second, Count: {v.Probes}}}}}",
            ],
            Default = new(15, 15, 9),
            Off = "net.Dialer{KeepAlive: -1}",
            CloseIdle = static seconds => [$"http.Transport{{IdleConnTimeout: {seconds} * time.Second}}"],
            Remark = "net/http's DefaultTransport has 30s for both. net.ListenConfig has the same field.",
            Source = "https://pkg.go.dev/net#KeepAliveConfig",
        },
        new()
        {
            Names = ["node"],
            Where = "Node.js",
            Values = static (time, _) => new(time, 1, 10),
            Lines = static v => [$"socket.setKeepAlive(true, {v.Time}000)", $"new http.Agent({{ keepAlive: true, keepAliveMsecs: {v.Time}000 }})"],
            Off = "socket.setKeepAlive(false)",
            Remark = "Node.js sets 10 probes, 1s apart: once probed, a connection does not survive an outage of 10s. "
                + "Newest releases also take an interval and a count.",
            Source = "https://nodejs.org/api/net.html#socketsetkeepaliveenable-initialdelay",
        },
        new()
        {
            Names = ["grpc"],
            Where = "gRPC, client and server: channel arguments (C++, Python) and Go",
            Lines = static v => GrpcPing(v.Time!.Value),
            Heartbeat = GrpcPing,
            IsHeartbeat = true,
            Remark = "An HTTP/2 PING is payload. By default a server allows one each 5 minutes, and one each 2 hours while there are no calls; it answers "
                + "more with GOAWAY too_many_pings, which ends the connection. So set the server first. An AWS ALB does not count a PING.",
            Source = "https://grpc.io/docs/guides/keepalive/",
        },
        new()
        {
            Names = ["java"],
            Where = "Java 11 or later",
            Lines = static v =>
            [
                "socket.setOption(StandardSocketOptions.SO_KEEPALIVE, true);",
                $"socket.setOption(ExtendedSocketOptions.TCP_KEEPIDLE, {v.Time});",
                $"socket.setOption(ExtendedSocketOptions.TCP_KEEPINTERVAL, {v.Interval});",
                $"socket.setOption(ExtendedSocketOptions.TCP_KEEPCOUNT, {v.Probes});",
            ],
            Source = "https://docs.oracle.com/en/java/javase/21/docs/api/jdk.net/jdk/net/ExtendedSocketOptions.html",
        },
        new()
        {
            Names = ["dotnet"],
            Where = ".NET",
            Lines = static v =>
            [
                "socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);",
                $"socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, {v.Time});",
                $"socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, {v.Interval});",
                $"socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, {v.Probes});",
            ],
            CloseIdle = static seconds => [$"new SocketsHttpHandler {{ PooledConnectionIdleTimeout = TimeSpan.FromSeconds({seconds}) }}"],
            Heartbeat = static seconds => [$"new SocketsHttpHandler {{ KeepAlivePingDelay = TimeSpan.FromSeconds({seconds}) }}"],
            Remark = "For HttpClient, in SocketsHttpHandler.ConnectCallback. KeepAlivePingDelay is for HTTP/2.",
            Source = "https://learn.microsoft.com/dotnet/api/system.net.sockets.socketoptionname",
        },
        new()
        {
            Names = ["python"],
            Where = "Python",
            Lines = static v =>
            [
                "sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)",
                $"sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, {v.Time})",
                $"sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, {v.Interval})",
                $"sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, {v.Probes})",
            ],
            Source = "https://docs.python.org/3/library/socket.html#socket.socket.setsockopt",
        },
        new()
        {
            Names = ["rust"],
            Where = "Rust, crate socket2",
            Lines = static v =>
            [
                $"TcpKeepalive::new().with_time(Duration::from_secs({v.Time}))",
                $"    .with_interval(Duration::from_secs({v.Interval})).with_retries({v.Probes})",
            ],
            Source = "https://docs.rs/socket2/latest/socket2/struct.TcpKeepalive.html",
        },
        new()
        {
            Names = ["nginx"],
            Where = "nginx, connections of clients",
            Lines = static v => [$"listen 80 so_keepalive={v.Time}s:{v.Interval}s:{v.Probes};"],
            Source = "https://nginx.org/en/docs/http/ngx_http_core_module.html#listen",
        },
        new()
        {
            Names = ["nginx"],
            Where = "nginx, connections to upstreams, and the sysctls",
            Lines = static v => ["proxy_socket_keepalive on;", .. Sysctls(v)],
            Remark = "proxy_socket_keepalive is on or off (default: off). The values are those of the network namespace.",
            Source = "https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_socket_keepalive",
        },
        new()
        {
            Names = ["haproxy"],
            Where = "HAProxy 2.2 or later",
            Lines = static v =>
            [
                "option clitcpka", $"clitcpka-idle {v.Time}s", $"clitcpka-intvl {v.Interval}s", $"clitcpka-cnt {v.Probes}",
                "option srvtcpka", $"srvtcpka-idle {v.Time}s", $"srvtcpka-intvl {v.Interval}s", $"srvtcpka-cnt {v.Probes}",
            ],
            Remark = "clitcpka is for clients, srvtcpka for servers.",
            Source = "https://docs.haproxy.org/3.2/configuration.html#4.2-clitcpka-idle",
        },
        new()
        {
            Names = ["envoy"],
            Where = "Envoy, in a cluster",
            Lines = static v =>
            [
                "upstream_connection_options:", "  tcp_keepalive:",
                $"    keepalive_time: {v.Time}", $"    keepalive_interval: {v.Interval}", $"    keepalive_probes: {v.Probes}",
            ],
            Source = "https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/core/v3/address.proto#config-core-v3-tcpkeepalive",
        },
        new()
        {
            Names = ["istio"],
            Where = "Istio, in a DestinationRule",
            Lines = static v =>
            [
                "trafficPolicy:", "  connectionPool:", "    tcp:", "      tcpKeepalive:",
                $"        time: {v.Time}s", $"        interval: {v.Interval}s", $"        probes: {v.Probes}",
            ],
            Remark = "For connections of sidecars and gateways to the host.",
            Source = "https://istio.io/latest/docs/reference/config/networking/destination-rule/",
        },
        new()
        {
            Names = ["kafka"],
            Where = "librdkafka, and the client's sysctls",
            Lines = static v => ["socket.keepalive.enable=true", .. Sysctls(v)],
            Remark = "librdkafka switches keepalive on or off (default: off). The values are those of the network namespace.",
            Source = "https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md",
        },
        new()
        {
            Names = ["curl"],
            Where = "curl 8.9 or later",
            Values = static (time, advised) => advised with { Time = time, Interval = time },
            Default = new(60, 60, 9),
            Lines = static v => [$"--keepalive-time {v.Time} --keepalive-cnt {v.Probes}"],
            Off = "--no-keepalive",
            Remark = "The time is also the interval.",
            Source = "https://curl.se/docs/manpage.html#--keepalive-time",
        },
        new()
        {
            Names = ["ssh"],
            Where = "OpenSSH, in ssh_config",
            Lines = static v => Ssh(v.Time!.Value),
            Heartbeat = Ssh,
            IsHeartbeat = true,
            Remark = "The messages are payload. sshd has ClientAliveInterval.",
            Source = "https://man.openbsd.org/ssh_config#ServerAliveInterval",
        },
        new()
        {
            Names = ["sysctl"],
            Where = "programs that only switch keepalive on, in their network namespace",
            Lines = Sysctls,
            Remark = "The sysctls enable nothing: the program has to set SO_KEEPALIVE. Kubernetes takes them as "
                + "securityContext.sysctls of a pod.",
            Source = "https://docs.kernel.org/networking/ip-sysctl.html",
        },
    ];

    /// <summary>The words for which there is a setting, in alphabetical order.</summary>
    public static ImmutableArray<string> Names { get; } = [.. All.SelectMany(static setting => setting.Names).Distinct().Order(StringComparer.Ordinal)];

    private static readonly FrozenDictionary<string, string> s_aliases = new Dictionary<string, string>
    {
        ["postgresql"] = "postgres",
        ["pg"] = "postgres",
        ["psql"] = "libpq",
        ["psycopg"] = "libpq",
        ["psycopg2"] = "libpq",
        ["pg-jdbc"] = "pgjdbc",
        ["mariadb"] = "mysql",
        ["golang"] = "go",
        ["nodejs"] = "node",
        ["node.js"] = "node",
        ["js"] = "node",
        [".net"] = "dotnet",
        ["csharp"] = "dotnet",
        ["c#"] = "dotnet",
        ["grpc-go"] = "grpc",
        ["grpcio"] = "grpc",
        ["python3"] = "python",
        ["py"] = "python",
        ["librdkafka"] = "kafka",
        ["openssh"] = "ssh",
        ["jvm"] = "java",
        ["valkey"] = "redis",
    }.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);

    /// <summary>The settings of an application, in upper or lower case or under another usual name; empty if it is not known.</summary>
    public static ImmutableArray<ApplicationSetting> Of(string name)
    {
        var known = s_aliases.GetValueOrDefault(name, name);
        return [.. All.Where(setting => setting.Names.Contains(known, StringComparer.OrdinalIgnoreCase))];
    }

    /// <summary>The name that was probably meant; null if none is near.</summary>
    public static string? Near(string name) =>
        DidYouMean.Find(name, [.. Names, .. s_aliases.Keys]) is { } near ? s_aliases.GetValueOrDefault(near, near) : null;

    private static ImmutableArray<string> Sysctls(KeepaliveSettings v) =>
    [
        $"net.ipv4.tcp_keepalive_time={v.Time}", $"net.ipv4.tcp_keepalive_intvl={v.Interval}", $"net.ipv4.tcp_keepalive_probes={v.Probes}",
    ];

    /// <summary>The least time between pings that the server allows. The network may bring two pings closer together.</summary>
    private static int LeastPing(int seconds) => Math.Max(1, seconds / 2);

    private static ImmutableArray<string> GrpcPing(int seconds) =>
    [
        $"client: GRPC_ARG_KEEPALIVE_TIME_MS={seconds}000 GRPC_ARG_KEEPALIVE_TIMEOUT_MS=20000 GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS=1",
        "        GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA=0",
        $"server: GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS={LeastPing(seconds)}000 GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS=1",
        $"Go client: keepalive.ClientParameters{{Time: {seconds} * time.Second, Timeout: 20 * time.Second, PermitWithoutStream: true}}",
        $"Go server: keepalive.EnforcementPolicy{{MinTime: {LeastPing(seconds)} * time.Second, PermitWithoutStream: true}}",
    ];

    private static ImmutableArray<string> Ssh(int seconds) => [$"ServerAliveInterval {seconds}", "ServerAliveCountMax 3"];
}
