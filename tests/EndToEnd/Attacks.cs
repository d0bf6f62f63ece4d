namespace Keepalive.EndToEnd;

/// <summary>Programs of tenants, in Python, for <see cref="Tenant"/>.</summary>
internal static class Attacks
{
    // A function that makes a process in an empty network namespace of its own. The first argument is the number of these at the start.
    private const string Inhabited = """
        import ctypes, os, signal, sys, time
        libc, parent = ctypes.CDLL(None), os.getpid()
        def make():
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                libc.prctl(1, signal.SIGKILL)
                if os.getppid() != parent:
                    os._exit(0)
                libc.unshare(0x40000000)
                os.write(write, b"x")
                signal.pause()
                os._exit(0)
            os.read(read, 1)
            os.close(read)
            os.close(write)
            return pid
        pids = [make() for i in range(int(sys.argv[1]))]
        """;

    // Sends struct nlmsghdr and struct inet_diag_msg to every sock_diag socket of the namespace except the kernel's.
    public const string Forger = """
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
    public const string Turncoat = """
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

    // Both ends of each of 500 links, each with an address, and a connection over each address.
    public const string Interfaces = """
        import os, signal, socket, subprocess, sys
        lines = []
        for i in range(500):
            lines += ["link add d%d type veth peer name e%d" % (i, i)]
            for end, net in (("d", 1), ("e", 2)):
                lines += ["addr add 10.%d.%d.%d/24 dev %s%d" % (net, i // 200, i % 200 + 1, end, i), "link set %s%d up" % (end, i)]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        print("ready")
        signal.pause()
        server = socket.create_server(("0.0.0.0", 7000), backlog=2000)
        held = []
        for i in range(500):
            for net in (1, 2):
                s = socket.socket()
                s.bind(("10.%d.%d.%d" % (net, i // 200, i % 200 + 1), 0))
                s.connect((sys.argv[1], 7000))
                held.append(s)
        print("connected")
        signal.pause()
        """;

    // Processes with twenty thousand descriptors, and a connection that is in no descriptor table: it is in a message that is never read.
    public const string Tables = """
        import ctypes, os, resource, signal, socket, sys
        shared, count, address = sys.argv[1] == "shared", int(sys.argv[2]), sys.argv[3]
        libc, parent = ctypes.CDLL(None), os.getpid()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        most = min(most, 20000)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        server = socket.create_server((address, 0))
        one, other = socket.socketpair()
        null = os.open("/dev/null", os.O_RDONLY)
        for i in range(64, most - 1):
            os.dup2(null, i)
        CLONE_FILES = 0x400
        for i in range(count):
            if libc.syscall(56, (CLONE_FILES if shared else 0) | signal.SIGCHLD, 0, 0, 0, 0) == 0:
                libc.prctl(1, signal.SIGKILL)
                if os.getppid() != parent:
                    os._exit(0)
                signal.pause()
                os._exit(0)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        print("ready")
        signal.pause()
        own = socket.create_connection(server.getsockname())
        socket.send_fds(one, [b"x"], [own.fileno()])
        own.close()
        print("sent")
        signal.pause()
        """;

    /// <summary>Empty network namespaces with a process in each. The first argument is their number.</summary>
    public const string Namespaces = Inhabited + """

        print("ready")
        print("pids " + " ".join(map(str, pids)))
        signal.pause()
        """;

    // The first argument is the number of namespaces, with a connection each. On SIGUSR1 it prints how many of them have keepalive on.
    public const string ConnectedNamespaces = """
        import ctypes, os, signal, socket, subprocess, sys
        libc, parent, held = ctypes.CDLL(None), os.getpid(), []
        for i in range(int(sys.argv[1])):
            libc.unshare(0x40000000)
            subprocess.run("ip link set lo up && ip addr add 203.0.113.9/32 dev lo", shell=True, check=True)
            server = socket.create_server(("203.0.113.9", 0))
            held.append((socket.create_connection(server.getsockname()), server, server.accept()))
            if os.fork() == 0:
                libc.prctl(1, signal.SIGKILL)
                if os.getppid() == parent:
                    signal.pause()
                os._exit(0)
        def tell(*ignored):
            print("on %d of %d" % (sum(own[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) for own in held), len(held)))
        signal.signal(signal.SIGUSR1, tell)
        print("ready")
        while True:
            signal.pause()
        """;

    public const string Connections = """
        import resource, signal, socket, sys
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        server = socket.create_server((sys.argv[2], 0), backlog=128)
        held = []
        for i in range(int(sys.argv[1])):
            held.append(socket.create_connection(server.getsockname()))
            held.append(server.accept()[0])
        print("ready")
        signal.pause()
        """;

    /// <summary>The server of a FUSE file system: descriptor 9 is its device, the first argument its mount point. It never answers a
    /// request for its file's type, and never answers a close by another process. Descriptors from 10 on alternate between that file and a
    /// socket. A connection to the second argument is in no process's descriptor table.</summary>
    public const string Fuse = """
        import ctypes, os, signal, socket, struct, sys, threading, time
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        def attributes(node):
            return struct.pack("=6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, 0o40777 if node == 1 else 0o100666, 1, 0, 0, 0, 4096, 0)
        def serve():
            while True:
                request = os.read(9, 1 << 20)
                size, kind, unique, node, uid, gid, pid = struct.unpack_from("=IIQQIII", request)
                answer = b""
                if kind in (2, 36, 42):     # FORGET, INTERRUPT, BATCH_FORGET
                    continue
                if (kind == 3 and node == 2) or (kind == 25 and not os.path.exists("/proc/%d/task/%d" % (parent, pid))):
                    print("asked %s" % {3: "GETATTR", 25: "FLUSH"}[kind])
                    continue
                if kind == 26:              # INIT
                    answer = struct.pack("=4I2H2I2HI28x", 7, 31, 0, 0, 1, 1, 65536, 1, 1, 0, 0)
                elif kind == 1:             # LOOKUP
                    answer = struct.pack("=4Q2I", 2, 0, 0, 0, 0, 0) + attributes(2)
                elif kind == 3:             # GETATTR
                    answer = struct.pack("=Q2I", 0, 0, 0) + attributes(1)
                elif kind == 14:            # OPEN
                    answer = struct.pack("=Q2I", 1, 0, 0)
                os.write(9, struct.pack("=IiQ", 16 + len(answer), 0, unique) + answer)
        # In a process of its own, which ends with this one: who waits for a server that holds the device itself waits for ever.
        parent = os.getpid()
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
            if os.getppid() == parent:
                serve()
            os._exit(0)
        os.close(9)
        file = os.open(sys.argv[1] + "/f", os.O_RDONLY)
        os.dup2(file, 200)
        one, other = socket.socketpair()
        server = socket.create_server((sys.argv[2], 0), backlog=100)
        def flip():
            while True:
                for i in range(10, 74):
                    os.dup2(file, i)
                for i in range(10, 74):
                    os.dup2(other.fileno(), i)
        for i in range(10, 74):
            os.dup2(file, i)
        threading.Thread(target=flip, daemon=True).start()
        print("ready")
        while True:
            own = socket.create_connection(server.getsockname())
            socket.send_fds(one, [b"x"], [own.fileno()])
            own.close()
            time.sleep(0.5)
        """;

    /// <summary>The same server. Its connections get other numbers once they are set, and the file the earlier ones.</summary>
    public static string FuseOverKnownSockets { get; } = Fuse.Replace("def flip():\n", """
        def flip():
            known = [socket.create_connection(server.getsockname()) for _ in range(8)]
            while not all(one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) for one in known):
                time.sleep(0.02)
            moved = [os.dup(one.fileno()) for one in known]
            for one in known:
                os.dup2(file, one.fileno())
            print("swapped")
            time.sleep(600)

        """, StringComparison.Ordinal);

    /// <summary>A process that is not dumpable (prctl(2), PR_SET_DUMPABLE), or that has a file system mounted over its own directory in
    /// /proc. It reports when its connection was set.</summary>
    public const string Hidden = """
        import ctypes, os, socket, sys, time
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.argv[1] == "undumpable":
            assert libc.prctl(4, 0, 0, 0, 0) == 0
        else:
            assert libc.unshare(0x20000) == 0
            assert libc.mount(b"none", b"/proc/%d" % os.getpid(), b"tmpfs", 0, None) == 0, os.strerror(ctypes.get_errno())
        server = socket.create_server((sys.argv[2], 0))
        own = socket.create_connection(server.getsockname())
        print("ready")
        while not own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
            time.sleep(0.02)
        time.sleep(0.1)
        print("set %d %d" % (own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)))
        time.sleep(600)
        """;

    /// <summary>Four connections between the same two ends, one after another. Each waits until the agent has set it; then the application
    /// changes its values and resets it.</summary>
    public const string SamePorts = """
        import socket, sys, time
        server = socket.create_server((sys.argv[1], 0))
        def values(own):
            return "%d %d" % (own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), own.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
        print("ready")
        seen, ends = [], ("", 0)
        for i in range(4):
            own = socket.socket()
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            own.bind(ends)
            own.connect(server.getsockname())
            ends = own.getsockname()
            other = server.accept()[0]
            end = time.time() + 10
            while not values(own) == values(other) == "1 700" and time.time() < end:
                time.sleep(0.02)
            # The pass that has set them ends, and logs both.
            time.sleep(0.5)
            seen.append(values(own))
            if i < 3:
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 50 + i)
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                own.close()
                other.close()
        time.sleep(1)
        print("values " + ", ".join(seen))
        while own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
            time.sleep(0.02)
        time.sleep(0.1)
        print("back " + values(own))
        time.sleep(600)
        """;

    /// <summary>Empty network namespaces with a process in each, which are replaced by new ones all the time.</summary>
    public const string NamespaceChurn = Inhabited + """

        print("ready")
        while True:
            for i in range(20):
                old = pids.pop(0)
                os.kill(old, 9)
                os.waitpid(old, 0)
                pids.append(make())
            time.sleep(0.2)
        """;

    /// <summary>Connections that the policy selects. Some are closed and replaced all the time.</summary>
    public const string ConnectionChurn = """
        import resource, socket, sys, time
        most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 20000)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        server = socket.create_server((sys.argv[2], 0), backlog=1000)
        held = []
        def make():
            one = socket.create_connection(server.getsockname())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            held.append((one, server.accept()[0]))
        for i in range(int(sys.argv[1])):
            make()
        print("ready")
        while True:
            for i in range(100):
                one, other = held.pop(0)
                one.close()
                other.close()
                make()
            time.sleep(0.1)
        """;

    /// <summary>Links made, used and deleted, all the time.</summary>
    public const string InterfaceChurn = """
        import socket, subprocess, sys, time
        def ip(*lines):
            subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True)
        print("ready")
        while True:
            ip(*[line for i in range(40) for line in ("link add d%d type veth peer name e%d" % (i, i), "addr add 10.9.%d.1/24 dev d%d" % (i, i), "link set d%d up" % i, "link set e%d up" % i)])
            server = socket.create_server(("0.0.0.0", 0), backlog=100)
            held = []
            for i in range(40):
                s = socket.socket()
                s.bind(("10.9.%d.1" % i, 0))
                s.connect((sys.argv[1], server.getsockname()[1]))
                held.append(s)
            time.sleep(0.5)
            ip(*["link del d%d" % i for i in range(40)])
        """;

    /// <summary>An ordinary tenant: a new connection now and then. Prints how many milliseconds each waited to be set, -1 for over ten
    /// seconds.</summary>
    public const string Honest = """
        import socket, sys, time
        server = socket.create_server((sys.argv[1], 0))
        print("ready")
        while True:
            own = socket.create_connection(server.getsockname())
            other = server.accept()[0]
            begun = time.monotonic()
            while not own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) and time.monotonic() < begun + 10:
                time.sleep(0.005)
            print("waited %d" % (1000 * (time.monotonic() - begun) if own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) else -1))
            time.sleep(0.31)
            own.close()
            other.close()
        """;

    /// <summary>Opens connections to an address and port that probe after a second and ignore all replies. The kernel ends each within
    /// seconds.</summary>
    public const string DyingConnections = """
        import select, socket, sys, time
        IP_MINTTL = 21
        print("ready")
        while True:
            try:
                own = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)
            except OSError:
                continue
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            own.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 255)
            poll = select.poll()
            poll.register(own, select.POLLERR | select.POLLHUP)
            poll.poll(10000)
            own.close()
        """;

    /// <summary>A connection to an endpoint, and answers to it that the endpoint did not send (CAP_NET_RAW). Its numbers are those of the
    /// packets that it sent last.</summary>
    public const string ForgedAnswers = """
        import socket, struct, sys
        remote, port = socket.inet_aton(sys.argv[1]), int(sys.argv[2])
        seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        own = socket.create_connection((sys.argv[1], port))
        local, own_port = socket.inet_aton(own.getsockname()[0]), own.getsockname()[1]
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        def total(data):
            value = sum(struct.unpack("!%dH" % (len(data) // 2), data))
            while value >> 16:
                value = (value & 0xffff) + (value >> 16)
            return ~value & 0xffff
        seen.settimeout(0.2)
        print("ready")
        sent, received = 0, 0
        while True:
            try:
                packet = seen.recv(2048)
                header = (packet[0] & 15) * 4
                if len(packet) >= header + 20 and packet[9] == 6 and packet[12:20] == local + remote:
                    source, to, sequence, acknowledged, size, flags = struct.unpack("!HHIIBB", packet[header:header + 14])
                    if (source, to) == (own_port, port):
                        length = struct.unpack("!H", packet[2:4])[0] - header - (size >> 4) * 4 + (flags >> 1 & 1)
                        sent, received = max(sent, sequence + length), acknowledged
                continue
            except socket.timeout:
                pass
            segment = struct.pack("!HHIIBBHHH", port, own_port, received, sent, 5 << 4, 16, 500, 0, 0)
            value = total(remote + local + struct.pack("!HH", 6, len(segment)) + segment)
            segment = segment[:16] + struct.pack("!H", value) + segment[18:]
            raw.sendto(struct.pack("!BBHHHBBH", 5 | 4 << 4, 0, 20 + len(segment), 0, 0, 64, 6, 0) + remote + local + segment, (own.getsockname()[0], 0))
        """;

    /// <summary>Asks the agent-check of a port for an endpoint four times a second. Prints the time (CLOCK_MONOTONIC, in seconds) and the
    /// answer.</summary>
    public const string Asker = """
        import socket, sys, time
        print("ready")
        due = time.monotonic()
        while True:
            asked = time.monotonic()
            with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5) as check:
                check.sendall(sys.argv[2].encode() + b"\n")
                answer = check.makefile().readline().split("#")[0].strip()
            print("%.3f %s" % (asked, answer))
            due += 0.25
            time.sleep(max(0, due - time.monotonic()))
        """;

    /// <summary>Adds an address to its own loopback device. Keeps a connection to its own server there, which always answers.</summary>
    public const string OwnServer = """
        import socket, subprocess, sys, time
        subprocess.run(["ip", "addr", "add", sys.argv[1] + "/32", "dev", "lo"], check=True)
        server = socket.create_server((sys.argv[1], int(sys.argv[2])))
        own = socket.create_connection(server.getsockname())
        other = server.accept()[0]
        print("ready")
        while True:
            own.send(b"x")
            other.recv(1)
            other.send(b"y")
            own.recv(1)
            time.sleep(0.2)
        """;
}
