using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text;

namespace Keepalive.Testbed;

/// <summary>A socket's four keepalive values as getsockopt(2) returns them to its owner.</summary>
internal readonly record struct KeepaliveValues(bool On, int Idle, int Interval, int Count);

/// <summary>Short-lived connections: the whole duration, the part of it that connecting took, and the number of connections with each set
/// of values.</summary>
internal sealed record ShortConnections(TimeSpan Took, TimeSpan Connecting, IReadOnlyDictionary<KeepaliveValues, int> Seen);

/// <summary>A holder's socket: the number of one that it opened, or the name of one that it accepted or listens on.</summary>
internal readonly record struct SocketId(string Text)
{
    public static implicit operator SocketId(int own) => new(own.ToString(CultureInfo.InvariantCulture));

    /// <summary>The accepted connection with number <paramref name="index"/>, from 0.</summary>
    public static SocketId Accepted(int index) => new($"a{index}");

    /// <summary>The listener with number <paramref name="index"/>, from 0.</summary>
    public static SocketId Listener(int index) => new($"l{index}");

    public override string ToString() => Text;
}

internal enum HolderOption
{
    Keepalive,
    Idle,
    Interval,
    Count,
    UserTimeoutMilliseconds,
}

/// <summary>The command was understood and the kernel refused it.</summary>
internal sealed class HolderException(string command, int errno, string message) : Exception($"{command}: {message} ({errno})")
{
    public int Errno { get; } = errno;
}

/// <summary>An unmodified application as a process of its own (holder.c). It opens, accepts and holds TCP connections on command.</summary>
/// <remarks>
/// It ends when its stdin does, so it never outlives the test process, and an anonymous network namespace vanishes with the last process
/// in it: nothing is left behind even by a test run that was killed.
/// </remarks>
internal sealed class Holder : IDisposable
{
    private static readonly TimeSpan s_answerTimeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_bulkTimeout = TimeSpan.FromSeconds(90);

    /// <summary>The settings of every namespace made here, independent of the machine's.</summary>
    /// <remarks>A new namespace takes IPv4 device settings from the initial one: a container host's ip_forward, for example.</remarks>
    private const string PinnedSettings = """
        set -eu
        cd /proc/sys/net
        echo 7200 > ipv4/tcp_keepalive_time
        echo 75 > ipv4/tcp_keepalive_intvl
        echo 9 > ipv4/tcp_keepalive_probes
        echo 15 > ipv4/tcp_retries2
        echo 6 > ipv4/tcp_syn_retries
        echo 1 > ipv4/tcp_timestamps
        echo 4096 > core/somaxconn
        echo 4096 > ipv4/tcp_max_syn_backlog
        echo 10000 65000 > ipv4/ip_local_port_range
        echo 0 > ipv4/ip_forward
        for i in all default; do
            echo 0 > ipv4/conf/$i/rp_filter
            echo 0 > ipv6/conf/$i/forwarding
            echo 0 > ipv6/conf/$i/disable_ipv6
            echo 0 > ipv6/conf/$i/accept_ra
            echo 0 > ipv6/conf/$i/accept_dad
        done
        ip link set lo up
        cd /
        exec "$1"
        """;

    private readonly Lock _asking = new();
    private readonly Process _process;
    private readonly StringBuilder _error = new();

    private Holder(IEnumerable<string> command)
    {
        _process = Spawner.Start(command);
        _process.ErrorDataReceived += (_, line) =>
        {
            lock (_error)
            {
                _error.AppendLine(line.Data);
            }
        };
        _process.BeginErrorReadLine();
        try
        {
            // unshare(1), sh(1) and nsenter(1) exec, so the started process is the holder. Its first answer also shows that it is in its
            // namespace.
            int pid = int.Parse(Ask("pid")[0], CultureInfo.InvariantCulture);
            if (pid != _process.Id)
            {
                throw new InvalidOperationException($"{string.Join(' ', command)} put the holder in process {pid}, not {_process.Id}");
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public int Pid => _process.Id;

    public string NetnsPath => $"/proc/{Pid}/ns/net";

    /// <summary>The namespace's number, as in <c>net:[4026531840]</c>.</summary>
    public long NetnsInode
    {
        get
        {
            string link = new FileInfo(NetnsPath).LinkTarget ?? throw new InvalidOperationException($"{NetnsPath} is gone");
            return long.Parse(link["net:[".Length..^1], CultureInfo.InvariantCulture);
        }
    }

    /// <summary>A holder in this process's own network namespace. Works without privilege.</summary>
    public static Holder Start() => new([HolderBinary.Path]);

    /// <summary>A holder in a new network namespace with fixed settings and only a loopback interface.</summary>
    public static Holder StartInNewNamespace() => new(["unshare", "--net", "--", "sh", "-c", PinnedSettings, "sh", HolderBinary.Path]);

    /// <summary>A holder in an existing namespace, which is not changed.</summary>
    public static Holder StartIn(string namespacePath) => new(["nsenter", $"--net={namespacePath}", "--", HolderBinary.Path]);

    /// <summary>Another process in this one's network namespace.</summary>
    public Holder StartBeside() => new(["nsenter", "--target", $"{Pid}", "--net", "--", HolderBinary.Path]);

    /// <summary>Starts another holder in the same network namespace, by another user and without privileges.</summary>
    public Holder StartBesideAs(int user) => new(["nsenter", "--target", $"{Pid}", "--net", "--", .. As(user), HolderBinary.Path]);

    /// <summary>Starts a holder by a user without privileges, in a network namespace that the user has made. Its loopback interface is
    /// up.</summary>
    public static Holder StartInNamespaceOf(int user) =>
        new([.. As(user), "unshare", "--user", "--map-root-user", "--net", "--", "sh", "-c", "ip link set lo up && exec \"$1\"", "sh", HolderBinary.Path]);

    private static IEnumerable<string> As(int user) => ["setpriv", "--reuid", $"{user}", "--regid", $"{user}", "--clear-groups"];

    /// <summary>A prefix that runs a command line in this holder's network namespace.</summary>
    public IEnumerable<string> Inside(IEnumerable<string> command) => ["nsenter", "--target", $"{Pid}", "--net", "--", .. command];

    /// <summary>Runs a tool in this holder's network namespace; it must succeed.</summary>
    public CommandResult Run(params string[] command) => Command.Run([.. Inside(command)]);

    /// <summary>Runs a shell script in this holder's network namespace; it must succeed.</summary>
    public CommandResult Shell(string script) => Run("sh", "-c", script);

    /// <summary>Runs ip(8) commands in this holder's network namespace, in one process; all must succeed.</summary>
    public void Ip(params IEnumerable<string> commands) => Shell($"ip -batch - <<'.'\n{string.Join('\n', commands)}\n.");

    /// <summary>Listens and accepts all connections. <c>::</c> accepts IPv4, too.</summary>
    /// <returns>The port.</returns>
    public int Listen(string address = "::", int port = 0) => Number(Ask($"listen {address} {port}"), 0);

    /// <summary>Opens one connection; <c>::ffff:a.b.c.d</c> opens it on an IPv6 socket.</summary>
    public int Connect(string address, int port, string? from = null) => ConnectMany(address, port, 1, from).First;

    /// <summary>Opens connections one after another; their ids are consecutive.</summary>
    public (int First, int Last) ConnectMany(string address, int port, int count, string? from = null)
    {
        var answer = Ask($"connect {address} {port} {count} {from}".TrimEnd(), s_bulkTimeout);
        return (Number(answer, 0), Number(answer, 1));
    }

    /// <summary>Opens one connection from a given port (0: any), whose SYN has a given sequence number (0: any).</summary>
    public int Dial(string address, int port, int sourcePort = 0, uint sequence = 0) =>
        Number(Ask(string.Create(CultureInfo.InvariantCulture, $"dial {address} {port} {sourcePort} {sequence}")), 0);

    /// <summary>Opens connections one after another; reads each one's values once it is established, and resets it.</summary>
    public ShortConnections ConnectShort(string address, int port, int count)
    {
        var answer = Ask($"short {address} {port} {count}", s_bulkTimeout);
        return new ShortConnections(TimeSpan.FromMicroseconds(Number(answer, 0)), TimeSpan.FromMicroseconds(Number(answer, 1)), Kinds(answer[2..]));
    }

    public KeepaliveValues Get(SocketId id)
    {
        var answer = Ask($"get {id}");
        return new KeepaliveValues(Number(answer, 0) != 0, Number(answer, 1), Number(answer, 2), Number(answer, 3));
    }

    public void Set(SocketId id, HolderOption option, int value)
    {
        string word = option switch
        {
            HolderOption.Keepalive => "keepalive",
            HolderOption.Idle => "idle",
            HolderOption.Interval => "intvl",
            HolderOption.Count => "cnt",
            _ => "usertimeout",
        };
        Ask($"set {id} {word} {value}");
    }

    /// <summary>TCP_USER_TIMEOUT of a socket, in milliseconds; 0 is none.</summary>
    public int GetUserTimeout(SocketId id) => Number(Ask($"gettimeout {id}"), 0);

    /// <summary>Sets TCP_USER_TIMEOUT of connections before they are opened.</summary>
    public void ConnectWithUserTimeout(int milliseconds) => Ask($"usertimeout {milliseconds}");

    /// <summary>Sets keepalive values, as an application that manages its own connections. Omitted values do not change.</summary>
    public void EnableKeepalive(SocketId id, int? idle = null, int? interval = null, int? count = null)
    {
        foreach (var (option, value) in new[] { (HolderOption.Interval, interval), (HolderOption.Count, count), (HolderOption.Idle, idle) })
        {
            if (value is { } number)
            {
                Set(id, option, number);
            }
        }

        Set(id, HolderOption.Keepalive, 1);
    }

    public IPEndPoint LocalEndPoint(SocketId id)
    {
        var answer = Ask($"local {id}");
        return new IPEndPoint(IPAddress.Parse(answer[0]), Number(answer, 1));
    }

    /// <summary>SO_COOKIE: the number that names this socket and no other until the machine restarts.</summary>
    public ulong Cookie(SocketId id) => ulong.Parse(Ask($"cookie {id}")[0], CultureInfo.InvariantCulture);

    /// <summary>The descriptor's number in the holder's own table.</summary>
    public int Descriptor(SocketId id) => Number(Ask($"fd {id}"), 0);

    /// <summary>The pending error, which reading clears, and whether the connection is over (POLLERR, POLLHUP or POLLRDHUP).</summary>
    public (int Errno, bool Over) PendingError(SocketId id)
    {
        const int pollErr = 0x8, pollHup = 0x10, pollRdHup = 0x2000;
        var answer = Ask($"soerror {id}");
        return (Number(answer, 0), (Number(answer, 1) & (pollErr | pollHup | pollRdHup)) != 0);
    }

    /// <summary>Sends as much of so many zero bytes as fits without waiting.</summary>
    public long Send(SocketId id, long bytes) => long.Parse(Ask($"send {id} {bytes}")[0], CultureInfo.InvariantCulture);

    /// <summary>Reads all data that has arrived.</summary>
    public (long Bytes, bool EndOfStream) Receive(SocketId id)
    {
        var answer = Ask($"recv {id}");
        return (long.Parse(answer[0], CultureInfo.InvariantCulture), Number(answer, 1) != 0);
    }

    /// <summary>Opens descriptors that are no sockets.</summary>
    public void OpenFiles(int count) => Ask(string.Create(CultureInfo.InvariantCulture, $"files {count}"));

    public void Close(SocketId id) => Ask($"close {id}");

    /// <summary>Ends sending on a connection, and still receives on it.</summary>
    public void HalfClose(SocketId id) => Ask($"halfclose {id}");

    /// <summary>Closes a connection with a reset.</summary>
    public void Abort(SocketId id) => Ask($"abort {id}");

    /// <summary>Continues in another network namespace. Existing connections stay in the old one.</summary>
    public void Enter(Holder other) => Ask($"enter {other.NetnsPath}");

    /// <summary>Closes the connections this holder opened; those it accepted stay.</summary>
    public void CloseAll() => Ask("closeall", s_bulkTimeout);

    /// <summary>How many connections are open now.</summary>
    public (int Own, int Accepted) Count()
    {
        var answer = Ask("count");
        return (Number(answer, 0), Number(answer, 1));
    }

    /// <summary>Whether data of accepted connections is read. When it is not, their windows fill up.</summary>
    public void SetReading(bool on) => Ask(on ? "reading on" : "reading off");

    /// <summary>Does not touch accepted connections, not even after an error or at their end. <see cref="Receive"/> and
    /// <see cref="PendingError"/> report those.</summary>
    public void AcceptByHand() => Ask("reading by-hand");

    /// <summary>Whether new listeners and connections use MPTCP.</summary>
    public void SetMultipath(bool on) => Ask(on ? "multipath on" : "multipath off");

    /// <summary>Starts child processes that each hold idle connections; answers once all are connected.</summary>
    public void Spawn(int processes, string address, int port, int connectionsEach) =>
        Ask($"spawn {processes} {address} {port} {connectionsEach}", s_bulkTimeout);

    public IReadOnlyList<int> Children() => [.. Ask("children").Select(pid => int.Parse(pid, CultureInfo.InvariantCulture))];

    /// <summary>Opens connections at a rate in the background, each closed after <paramref name="hold"/> (zero: never).</summary>
    public void Churn(string address, int port, double perSecond, TimeSpan duration, TimeSpan hold) =>
        Ask(string.Create(CultureInfo.InvariantCulture, $"churn {address} {port} {perSecond} {duration.TotalSeconds} {hold.TotalSeconds}"));

    public (long Opened, long Closed, long Failed) ChurnCount()
    {
        var answer = Ask("churnstat");
        return (Number(answer, 0), Number(answer, 1), Number(answer, 2));
    }

    /// <summary>The values of the connections that <see cref="Churn"/> has opened, from one number to before another, and how many have
    /// them.</summary>
    public IReadOnlyDictionary<KeepaliveValues, int> ChurnValues(long from, long to) =>
        Kinds(Ask(string.Create(CultureInfo.InvariantCulture, $"churnseen {from} {to}"), s_bulkTimeout));

    /// <summary>Starts short-lived processes at a rate in the background.</summary>
    public void StartProcesses(double perSecond, TimeSpan duration, TimeSpan lifetime) =>
        Ask(string.Create(CultureInfo.InvariantCulture, $"execs {perSecond} {duration.TotalSeconds} {(int)lifetime.TotalMilliseconds}"));

    /// <summary>The number of short-lived processes that the last <see cref="StartProcesses"/> has started so far.</summary>
    public int StartedProcesses() => Number(Ask("execstat"), 0);

    /// <summary>Ends the process at once, as a crash would.</summary>
    public void Kill() => _process.Kill();

    public void Dispose()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has already exited.
        }

        if (!_process.WaitForExit(TimeSpan.FromSeconds(5)))
        {
            _process.Kill();
            _process.WaitForExit(TimeSpan.FromSeconds(5));
        }

        _process.Dispose();
    }

    private string[] Ask(string command, TimeSpan? timeout = null)
    {
        lock (_asking)
        {
            string? line;
            try
            {
                _process.StandardInput.WriteLine(command);
                _process.StandardInput.Flush();
                line = _process.StandardOutput.ReadLineAsync().WaitAsync(timeout ?? s_answerTimeout).GetAwaiter().GetResult();
            }
            catch (IOException)
            {
                line = null;
            }

            if (line is null)
            {
                _process.WaitForExit(TimeSpan.FromSeconds(1));
                lock (_error)
                {
                    throw new InvalidOperationException($"the holder ended before it answered \"{command}\": {_error.ToString().Trim()}");
                }
            }

            string[] words = line.Split(' ');
            if (words[0] == "error")
            {
                throw new HolderException(command, int.Parse(words[1], CultureInfo.InvariantCulture), string.Join(' ', words[2..]));
            }

            return words[1..];
        }
    }

    private static Dictionary<KeepaliveValues, int> Kinds(string[] answer)
    {
        var seen = new Dictionary<KeepaliveValues, int>();
        foreach (var kind in answer)
        {
            int[] n = [.. kind.Split('/', '=').Select(number => int.Parse(number, CultureInfo.InvariantCulture))];
            seen.Add(new KeepaliveValues(n[0] != 0, n[1], n[2], n[3]), n[4]);
        }
        return seen;
    }

    private static int Number(string[] answer, int index) => int.Parse(answer[index], CultureInfo.InvariantCulture);
}
