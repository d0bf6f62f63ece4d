using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Sockets;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Linux;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Netlink;
using Keepalive.Probes.Capture;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Reports;
using Microsoft.Extensions.Logging.Abstractions;

namespace Keepalive.Fuzzing;

/// <summary>A reader of untrusted input. An exception that it must not throw ends the program.</summary>
/// <param name="Read">Reads one input to its end.</param>
/// <param name="Seeds">Valid inputs.</param>
internal sealed record Target(Action<byte[]> Read, Func<IEnumerable<byte[]>> Seeds);

/// <summary>All targets.</summary>
internal static class Targets
{
    private const uint Sequence = 7;

    // Not a static initializer: instrumented code runs only under the fuzzer.
    private static WatchedKind[] Kinds =>
    [
        WatchedKind.ConnectionPolicies, WatchedKind.ListenerConnectionPolicies, WatchedKind.VirtualDestinations, WatchedKind.ExternalServices,
        WatchedKind.ExternalEndpoints, WatchedKind.VirtualGateways, WatchedKind.DestinationRules, WatchedKind.ServiceEntries, WatchedKind.WorkloadEntries,
        WatchedKind.Services, WatchedKind.EndpointSlices, WatchedKind.MeshConfigs, WatchedKind.Pods,
    ];

    public static readonly IReadOnlyDictionary<string, Target> All = new Dictionary<string, Target>(StringComparer.Ordinal)
    {
        ["probes"] = new(Probes, Captures),
        ["state"] = new(State, States),
        ["netlink"] = new(Netlink, Messages),
        ["yaml"] = new(Yaml, Policies),
        ["kubernetes"] = new(Kubernetes, Answers),
    };

    private static void Probes(byte[] input)
    {
        var report = ProbeReport.Create(Stream.Null, json: input.Length % 2 == 0);
        var scan = new ProbeScan(report, maxFlows: 16);
        try
        {
            using var source = CaptureFile.Open(new MemoryStream(input));
            while (source.TryRead(out var packet))
            {
                scan.Take(in packet);
            }
        }
        catch (CaptureException)
        {
            // Rejected, with the place of the error.
        }
        scan.End();
        report.Summarize(scan, dropped: null);
        report.Flush();
    }

    private static void State(byte[] input) => new StateReader([]).Read(input);

    private static void Netlink(byte[] input)
    {
        if (input.Length > 0 && input[0] % 2 == 1)
        {
            RouteLookup.AddInterfaces(input.AsSpan(1), new HashSet<int>());
            Conntrack.Parse(input.AsSpan(1), default);
            return;
        }
        ReadOnlySpan<byte> rest = input.AsSpan(Math.Min(input.Length, 1));
        try
        {
            DestroyedSockets.Parse(rest);
            while (SockDiag.TryNext(Sequence, ref rest, out var type, out var payload))
            {
                if (SockDiag.IsSocket(type, payload))
                {
                    var socket = new DiagnosedSocket(payload);
                    _ = (socket.Cookie, socket.State, socket.Local, socket.Remote, socket.CgroupId, socket.Idle, socket.IsMultipathSubflow);
                }
            }
        }
        catch (LinuxException)
        {
            // A malformed message.
        }
    }

    private static void Yaml(byte[] input)
    {
        var read = PolicyReader.Read(["-"], new MemoryStream(input));
        PolicyCompiler.Compile(read.Resources, new CompilerOptions());
    }

    private static void Kubernetes(byte[] input)
    {
        if (input.Length == 0)
        {
            return;
        }
        var kind = Kinds[input[0] / 2 % Kinds.Length];
        IObjectSink sink = kind == WatchedKind.Pods ? new PodStore(new OwnValuesReader(new KeepaliveSettings(30, 5, 1))) : new ResourceStore(kind, TimeProvider.System, NullLogger.Instance);
        sink.BeginList();
        ObjectHandler take = (in ReadOnlySequence<byte> text) =>
        {
            var json = input[0] % 2 == 0 ? text : WatchEvent.Read(in text).Object;
            if (ApiJson.HeadOf(in json) is { Name.Length: > 0 } head)
            {
                sink.Take(head, kind.ApiVersion(kind.Versions[0]), in json);
            }
        };
        var stream = new JsonStream(new MemoryStream(input, 1, input.Length - 1), Timeout.InfiniteTimeSpan, TimeProvider.System, CancellationToken.None);
        try
        {
            if (input[0] % 2 == 0)
            {
                stream.ReadListAsync(take).GetAwaiter().GetResult();
            }
            else
            {
                while (stream.ReadLineAsync(take).GetAwaiter().GetResult())
                {
                    // Line by line.
                }
            }
        }
        catch (Exception e) when (e is ApiException or JsonException)
        {
            // Rejected input. The caller reports it.
        }
        finally
        {
            stream.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    private static IEnumerable<byte[]> Captures()
    {
        // A connection with a probe and its reply, as Ethernet frames in a file of either format.
        byte[] Frame(bool probe)
        {
            byte[] ends = probe ? [10, 0, 0, 1, 10, 0, 0, 2, 0x9C, 0x40, 0x01, 0xBB] : [10, 0, 0, 2, 10, 0, 0, 1, 0x01, 0xBB, 0x9C, 0x40];
            byte[] numbers = probe ? [0, 0, 0, 4, 0, 0, 0, 9] : [0, 0, 0, 9, 0, 0, 0, 5];
            return
            [
                2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
                0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, .. ends[..8],
                .. ends[8..], .. numbers, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
            ];
        }
        byte[][] frames = [Frame(false), Frame(true), Frame(false), Frame(true), Frame(false)];
        byte[] Word(uint value) => BitConverter.GetBytes(value);
        byte[] File(IEnumerable<byte[]> frames, uint link = 1) =>
        [
            .. Word(0xA1B2C3D4), 2, 0, 4, 0, .. Word(0), .. Word(0), .. Word(65535), .. Word(link),
            .. frames.SelectMany((frame, i) => (byte[])[.. Word((uint)i), .. Word(0), .. Word((uint)frame.Length), .. Word((uint)frame.Length), .. frame]),
        ];
        yield return File(frames);
        // The "modified" form, and packets that a firewall rule logged.
        yield return
        [
            .. Word(0xA1B2CD34), 2, 0, 4, 0, .. Word(0), .. Word(0), .. Word(65535), .. Word(1),
            .. frames.SelectMany((frame, i) => (byte[])
                [.. Word((uint)i), .. Word(0), .. Word((uint)frame.Length), .. Word((uint)frame.Length), .. Word(3), 8, 0, 4, 0, .. frame]),
        ];
        yield return File(frames.Select(frame => (byte[])[2, 0, 0, 7, 8, 0, 1, 0, 8, 0, 1, 0, 44, 0, 9, 0, .. frame[14..]]), link: 239);
        // One file for each tunnel, so that a change to one of them is one change.
        byte[] Around(byte protocol, byte[] content) =>
            [.. frames[0][..14], 0x45, 0, 0, (byte)(20 + content.Length), 0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, .. content];
        byte[] Udp(byte upper, byte lower, byte[] content) => Around(17, [0xC3, 0x50, upper, lower, 0, (byte)(8 + content.Length), 0, 0, .. content]);
        Func<byte[], byte[]>[] tunnels =
        [
            frame => [.. frame[..12], 0x88, 0xA8, 0, 7, 0x81, 0, 0, 9, .. frame[12..]],
            frame => Udp(0x12, 0xB5, [8, 0, 0, 0, 0, 0, 42, 0, .. frame]),
            frame => Udp(0x17, 0xC1, [2, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 1, 5, 6, 7, 8, .. frame]),
            frame => Around(47, [0xB0, 0, 0x65, 0x58, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, .. frame]),
            frame => Around(47, [0x10, 0, 0x22, 0xEB, 0, 0, 0, 1, 0x20, 7, 0, 3, .. new byte[8], .. frame]),
            frame => Around(4, frame[14..]),
            frame => Around(51, [4, 4, 0, 0, 0, 0, 1, 0, .. new byte[16], .. frame[14..]]),
            frame => [.. frame[..12], 0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64, 0, 0, 0, 1, .. frame],
            frame => [.. frame[..12], 0x88, 0x64, 0x11, 0, 0, 5, 0, 42, 0, 0x21, .. frame[14..]],
            frame => [.. frame[..12], 0x88, 0xE5, 0x20, 0, 0, 0, 0, 1, .. new byte[8], .. frame[12..]],
        ];
        foreach (var tunnel in tunnels)
        {
            yield return File(frames.Select(tunnel));
        }
        byte[] Block(uint type, byte[] body) => [.. Word(type), .. Word((uint)body.Length + 12), .. body, .. Word((uint)body.Length + 12)];
        yield return
        [
            .. Block(0x0A0D0D0A, [.. Word(0x1A2B3C4D), 1, 0, 0, 0, .. Word(uint.MaxValue), .. Word(uint.MaxValue)]),
            .. Block(1, [1, 0, 0, 0, .. Word(65535)]),
            .. frames.SelectMany((frame, i) => Block(
                6, [.. Word(0), .. Word(0), .. Word((uint)i * 1_000_000), .. Word((uint)frame.Length), .. Word((uint)frame.Length), .. frame, .. new byte[-frame.Length & 3]])),
        ];
    }

    private static IEnumerable<byte[]> States() =>
    [
        "arriving 60,10,6 -,-,-\nset 1 10 off,7200,75,9 off,7200,75,9 on,700,10,20 shop/p shop/d\nok\n"u8.ToArray(),
        "kept 2 12 on,60,5,3\napplication 2 13\nset 1 11 off,7200,75,9 on,1,2,3 on,700,10,20 - -\nforget 2 13\n"u8.ToArray(),
        "set 1 10 off,7200,75,9 off,7200,75,9 on,700,10,20 shop/p shop/d user-timeout=5\n"u8.ToArray(),
    ];

    private static IEnumerable<byte[]> Messages()
    {
        var header = new LinuxNetlink.nlmsghdr { nlmsg_type = LinuxInetDiag.TCPDIAG_GETSOCK, nlmsg_seq = Sequence };
        byte[] attribute = [12, 0, (byte)LinuxInetDiag.INET_DIAG_CGROUP_ID, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        byte[] ulp = [16, 0, (byte)LinuxInetDiag.INET_DIAG_ULP_INFO, 0, 10, 0, (byte)LinuxInetDiag.INET_ULP_INFO_NAME, 0, .. "mptcp\0\0\0"u8];
        byte[] body = [.. new byte[Marshal.SizeOf<LinuxInetDiag.inet_diag_msg>()], .. attribute, .. ulp];
        header.nlmsg_len = (uint)(Marshal.SizeOf<LinuxNetlink.nlmsghdr>() + body.Length);
        byte[] message = [.. MemoryMarshal.AsBytes(new ReadOnlySpan<LinuxNetlink.nlmsghdr>(in header)), .. body];
        yield return [0, .. message, .. message];
        yield return [1, 8, 0, (byte)LinuxRtnetlink.RTA_OIF, 0, 3, 0, 0, 0, 20, 0, (byte)LinuxRtnetlink.RTA_MULTIPATH, 0, 8, 0, 0, 0, 3, 0, 0, 0, 8, 0, 0, 0, 4, 0, 0, 0];
    }

    private static IEnumerable<byte[]> Policies() =>
    [
        """
        apiVersion: resilience.policy.gloo.solo.io/v2
        kind: ConnectionPolicy
        metadata: { name: a, namespace: b, annotations: { keepalive-agent/existing: keep } }
        spec:
          applyToDestinations: [{ kind: EXTERNAL_SERVICE, selector: {} }]
          config: { tcp: { tcpKeepalive: { time: 60s, interval: 1m5s, probes: 3 } } }
        ---
        apiVersion: networking.gloo.solo.io/v2
        kind: ExternalService
        metadata: { name: c, namespace: b }
        spec: { addresses: ["10.0.0.0/8", "fd77::1"], ports: [{ number: 443, protocol: TLS }] }
        """u8.ToArray(),
        """
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: { name: a, namespace: b }
        spec: &x
          host: "*.example.com"
          trafficPolicy: { connectionPool: { tcp: { tcpKeepalive: { time: 7200s } } }, portLevelSettings: [{ port: { number: 80 } }] }
        """u8.ToArray(),
    ];

    private static IEnumerable<byte[]> Answers()
    {
        const string metadata = """{"name":"a","namespace":"b","uid":"u","resourceVersion":"7","labels":{"x":"y"}}""";
        string[] bodies =
        [
            """ "spec":{"applyToDestinations":[{"kind":"EXTERNAL_SERVICE"}],"config":{"tcp":{"tcpKeepalive":{"time":"60s","probes":3}}}}""",
            """ "spec":{"hosts":["a.example"],"addresses":["10.0.0.1"],"ports":[{"number":443,"protocol":"TLS"}]}""",
            """ "spec":{"hostNetwork":false},"status":{"phase":"Running","podIP":"10.0.0.9","podIPs":[{"ip":"10.0.0.9"}],"containerStatuses":[{"name":"c","containerID":"containerd://1a"}]}""",
            """ "addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true}}],"ports":[{"name":"x","port":80,"protocol":"TCP"}]""",
        ];
        for (byte kind = 0; kind < 2 * Kinds.Length; kind++)
        {
            foreach (var body in bodies)
            {
                var item = $$"""{"metadata":{{metadata}},{{body}}}""";
                yield return [kind, .. Encoding.UTF8.GetBytes(kind % 2 == 0
                    ? $$"""{"kind":"List","metadata":{"resourceVersion":"7","continue":""},"items":[{{item}}]}"""
                    : $$"""{"type":"ADDED","object":{{item}}}""" + "\n")];
            }
        }
    }
}
