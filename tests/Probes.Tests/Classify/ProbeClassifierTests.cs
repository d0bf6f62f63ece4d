using Keepalive.Linux.Packets;
using Keepalive.Probes.Classify;
using Keepalive.Probes.Tests.Capture;
using Xunit;

namespace Keepalive.Probes.Tests.Classify;

/// <summary>Which segments are probes, which are replies, and which only look like one.</summary>
public sealed class ProbeClassifierTests
{
    private const string Handshake = """
        0.000 > S    0:
        0.001 < SA   0:1
        0.002 > A    1:1

        """;

    private static readonly Dictionary<string, string> s_cases = new()
    {
        ["first probe after the handshake, its reply's window differs from the SYN-ACK's"] = Handshake + """
            1.000 > A    0:1          probe by 5
            1.001 < A    1:1 l=0 w=77 reply to 4
            """,
        ["window changes in every reply"] = Handshake + """
            1.000 > A    0:1             probe by 5
            1.001 < A    1:1 l=0 w=10    reply to 4
            2.000 > A    0:1             probe by 7
            2.001 < A    1:1 l=0 w=20    reply to 6
            """,
        ["after data both ways"] = Handshake + """
            0.100 > PA   1:1 l=100
            0.101 < PA   1:101 l=200
            0.140 > A    101:201
            1.200 > A    100:201      probe by 8
            1.201 < A    201:101      reply to 7
            """,
        ["both ends probe, each its own schedule"] = Handshake + """
            1.000 > A    0:1          probe by 6
            1.000 < A    0:1          probe by 7
            1.001 < A    1:1          reply to 4
            1.001 > A    1:1          reply to 5
            1.500 < A    0:1          probe by 9
            1.501 > A    1:1          reply to 8
            """,
        ["replies lost, then one comes"] = Handshake + """
            1.000 > A    0:1          probe
            2.000 > A    0:1          probe
            3.000 > A    0:1          probe by 7
            3.001 < A    1:1          reply to 6
            """,
        ["the first segment captured, then the kernel's reset one byte further"] = """
            1.000 > A    0:1          probe
            2.000 > RA   1:1
            """,
        ["a reset answers a probe"] = Handshake + """
            1.000 > A    0:1          probe by 5
            1.001 < A    1:1          reply to 4
            2.000 > A    0:1          probe reset 7
            2.001 < R    1:
            2.002 < R    1:
            """,
        ["a reset answers a window probe"] = Handshake + """
            0.500 < A    1:1 w=0
            1.000 > A    0:1          window reset 6
            1.001 < R    1:
            """,
        ["a reset that answers no probe"] = Handshake + """
            1.000 > A    0:1          probe by 5
            1.001 < A    1:1          reply to 4
            1.500 < R    1:
            """,
        ["a reset long after a probe does not answer it"] = Handshake + """
            1.000 > A    0:1          probe
            9.000 < R    1:
            """,
        ["the first segment captured, then a reset at the same number"] = """
            1.000 > A    0:1
            2.000 > RA   0:1
            """,
        ["a late reply still names its probe"] = Handshake + """
            1.000 > A    0:1          probe
            7.000 < A    1:1          reply to 4
            """,
        ["the peer's probe is no reply"] = Handshake + """
            1.000 > A    0:1          probe
            1.100 < A    0:1          probe
            """,
        ["killed by the kernel: the reset is no probe"] = Handshake + """
            1.000 > A    0:1          probe
            2.000 > A    0:1          probe
            3.000 > RA   1:1
            """,
        ["a capture that begins in mid-flow, first reply tells"] = """
            1.000 > A    0:1          probe by 2
            1.001 < A    1:1          reply to 1
            2.000 > A    0:1          probe by 4
            2.001 < A    1:1          reply to 3
            """,
        ["a capture that begins while both ends probe at once"] = """
            1.000 > A    0:1          probe by 4
            1.000 < A    0:1          probe by 3
            1.001 > A    1:1          reply to 2
            1.001 < A    1:1          reply to 1
            2.000 > A    0:1          probe by 8
            2.000 < A    0:1          probe by 7
            2.001 > A    1:1          reply to 6
            2.001 < A    1:1          reply to 5
            """,
        ["a capture that begins with an acknowledgement of the prober's"] = """
            1.000 > A    1:1
            2.000 > A    0:1          probe by 3
            2.001 < A    1:1          reply to 2
            """,
        ["the same, and nobody answers"] = """
            1.000 > A    1:1
            2.000 > A    0:1          probe presumed
            3.000 > A    0:1          probe presumed
            """,
        ["a capture that begins with a probe, or with one byte that was not captured behind an acknowledgement, and data"] = """
            1.000 > A    0:1          probe presumed
            1.100 > PA   1:1 l=20
            1.101 < A    1:21
            """,
        ["the same, and the answer comes after all"] = """
            1.000 > A    0:1          probe by 3
            1.100 > PA   1:1 l=20
            1.101 < A    1:1          reply to 1
            1.102 < A    1:21
            """,
        ["an acknowledgement from further on, before data behind it: a byte went uncaptured, or it was a probe"] = Handshake + """
            5.000 > A    500:900      probe presumed
            5.100 > PA   501:900 l=20
            5.101 < A    900:521
            """,
        ["a capture that begins with an acknowledgement before a write of one byte"] = """
            1.000 > A    0:1
            1.100 > PA   0:1 l=1
            1.101 < A    1:1
            1.102 > A    1:1
            """,
        ["a capture that begins with a reply"] = """
            1.001 < A    1:1
            2.000 > A    0:1          probe by 3
            2.001 < A    1:1          reply to 2
            """,
        ["in mid-flow, nobody answers: repetition tells"] = """
            1.000 > A    0:1          probe presumed
            2.000 > A    0:1          probe presumed
            3.000 > A    0:1          probe presumed
            """,
        ["in mid-flow, nobody answers a probe of one byte: steady intervals tell"] = """
            1.000 > A    0:1 l=1
            6.000 > A    0:1 l=1
            11.00 > A    0:1 l=1      probe presumed
            16.10 > A    0:1 l=1      probe presumed
            """,
        ["an answer after all: what was presumed is certain"] = """
            1.000 > A    0:1          probe presumed
            2.000 > A    0:1          probe by 3
            2.001 < A    1:1          reply to 2
            """,
        ["nobody answers, but the sender has shown where it stands"] = """
            0.000 > PA   1:1 l=9
            2.000 > A    9:1          probe
            3.000 > A    9:1          probe
            """,
        ["in mid-flow, repeated 75 s apart, and the second is answered"] = """
            100 > A    0:1            probe presumed
            175 > A    0:1            probe by 3
            175.1 < A  1:1            reply to 2
            """,
        ["in mid-flow, repeated an hour apart, and nobody answers"] = """
            100 > A    0:1            probe presumed
            3700 > A   0:1            probe presumed
            7300 > A   0:1            probe presumed
            """,
        ["the first segment captured, then a reset one byte further 75 s later"] = """
            1.000 > A    0:1          probe
            76.00 > RA   1:1
            """,
        ["the first segment captured, then data one byte further an hour later"] = """
            1.000 > A    0:1          probe presumed
            3601 > PA    1:1 l=20
            """,
        ["the first segment captured, and an answer 75 s later"] = """
            1.000 > A    0:1          probe by 2
            76.00 < A    1:1          reply to 1
            """,
        ["the first segment captured, 75 s later the other end's data, and what acknowledges it"] = """
            1.000 > A    0:1          probe
            76.00 < PA   1:1 l=5
            76.01 > A    1:6
            """,
        ["the same with a probe next"] = """
            1.000 > A    0:1          probe
            76.00 < PA   1:1 l=5
            90.00 > A    0:6          probe by 4
            90.01 < A    6:1          reply to 3
            """,
        ["an acknowledgement, an hour later data from the same place"] = """
            1.000 > A    0:1
            3601 > PA    0:1 l=20
            3602 > A     20:1
            """,
        ["an acknowledgement, an hour later the other end's, of the same place"] = """
            1.000 > A    0:1
            3601 < PA    1:0 l=20
            3602 > PA    0:21 l=1
            """,
        ["an acknowledgement, an hour later the other end's, of much more"] = """
            1.000 > A    0:1
            3601 < A     1:500
            3602 > PA    500:1 l=20
            """,
        ["an acknowledgement in mid-flow, and data after it"] = """
            1.000 > A    1:1
            1.001 > PA   1:1 l=10
            1.002 < A    1:11
            2.100 > A    10:1         probe by 5
            2.101 < A    1:11         reply to 4
            """,
        ["an acknowledgement in mid-flow, and one byte after it"] = """
            1.000 > A    1:1
            1.001 > PA   1:1 l=1
            1.002 < A    1:2
            """,
        ["data that was not captured, then a probe"] = Handshake + """
            5.000 > A    500:900
            6.100 > A    499:900      probe by 6
            6.101 < A    900:500      reply to 5
            """,
        ["data that was not captured, up to a probe"] = Handshake + """
            6.100 > A    499:900      probe by 5
            6.101 < A    900:500      reply to 4
            """,
        ["zero window: the same bytes are a window probe"] = Handshake + """
            0.100 > PA   1:1 l=1000
            0.101 < A    1:1001 l=0 w=0
            0.400 > A    1000:1       window by 7
            0.401 < A    1:1001 l=0 w=0
            0.900 > A    1000:1       window
            0.950 < A    1:1001 l=0 w=99
            """.Replace("window\n", "window by 9\n", StringComparison.Ordinal),
        ["zero window: one byte beyond it, again and again, then taken"] = Handshake + """
            0.101 < A    1:1 l=0 w=0
            0.400 > A    1:1 l=1      window by 6
            0.401 < A    1:1 l=0 w=0
            0.900 > A    1:1 l=1      window by 8
            0.901 < A    1:2 l=0 w=9
            """,
        ["zero window opened: probes are keepalive's again"] = Handshake + """
            0.100 < A    1:1 l=0 w=0
            0.200 < A    1:1 l=0 w=50
            1.300 > A    0:1          probe by 7
            1.301 < A    1:1 l=0 w=50 reply to 6
            """,
        ["a probe of one byte"] = Handshake + """
            0.100 > PA   1:1 l=10
            0.101 < A    1:11
            5.000 > A    10:1 l=1 w=500 b=0   probe by 7
            5.001 < A    1:11         reply to 6
            """,
        ["a write of one byte sent again is no probe"] = Handshake + """
            0.100 > PA   1:1 l=1
            0.310 > PA   1:1 l=1
            0.311 < A    1:2
            0.520 > PA   1:1 l=1
            """,
        ["a write of one byte, acknowledged, then a probe of one byte"] = Handshake + """
            0.100 > PA   1:1 l=1
            0.110 < A    1:2
            5.000 > A    1:1 l=1 w=500 b=0    probe by 7
            5.001 < A    1:2          reply to 6
            """,
        ["captured out of order: an acknowledgement before the byte it follows"] = Handshake + """
            0.100 > PA   2:1 l=1
            0.100 > A    2:1
            0.101 > PA   1:1 l=1
            0.110 < A    1:3
            """,
        ["data unacknowledged: no probe, whatever its sequence"] = Handshake + """
            0.100 > PA   1:1 l=10
            0.110 > A    10:1
            0.120 < A    1:11
            """,
        ["captured twice counts once"] = Handshake + """
            1.000 > A    0:1 l=0 w=500 id=7   probe by 6
            1.000 > A    0:1 l=0 w=500 id=7
            1.001 < A    1:1 l=0 w=500 id=8   reply to 4
            1.001 < A    1:1 l=0 w=500 id=8
            """,
        ["both ends' probes captured twice count once"] = Handshake + """
            1.000 > A    0:1 l=0 w=500 id=7   probe by 8
            1.000 < A    0:1 l=0 w=500 id=8   probe by 9
            1.000 > A    0:1 l=0 w=500 id=7
            1.000 < A    0:1 l=0 w=500 id=8
            1.001 < A    1:1                  reply to 4
            1.001 > A    1:1                  reply to 5
            """,
        ["data crosses the probe: the reply is still one"] = Handshake + """
            1.000 > A    0:1          probe by 6
            1.000 < PA   1:1 l=50
            1.001 < A    51:1         reply to 4
            """,
        ["the prober sends meanwhile: what acknowledges that is no reply"] = Handshake + """
            1.000 > A    0:1          probe
            1.000 > PA   1:1 l=50
            1.001 < A    1:51
            """,
        ["after FIN of the other end"] = Handshake + """
            0.500 < FA   1:1
            0.501 > A    1:2
            1.600 > A    0:2          probe by 7
            1.601 < A    2:1          reply to 6
            """,
        ["the ports are used again"] = Handshake + """
            1.000 > RA   1:1
            9.000 > S    70000:
            9.001 < SA   90000:70001
            9.002 > A    70001:90001
            10.01 > A    70000:90001  probe by 9
            10.02 < A    90001:70001  reply to 8
            """,
        ["SYN, FIN and RST are none"] = Handshake + """
            1.000 > FA   0:1
            1.001 > SA   0:1
            1.002 > R    0:
            """,
        ["a probe within 500 ms of another gets no reply, and that is all"] = Handshake + """
            1.000 > A    0:1          probe by 5
            1.001 < A    1:1          reply to 4
            1.430 > A    0:1          probe
            2.500 > A    0:1          probe by 8
            2.501 < A    1:1          reply to 7
            """,
        ["a reset, an acknowledgement and a SYN that the kernel ignores change nothing"] = Handshake + """
            1.000 > A    0:1          probe by 5
            1.001 < A    1:1          reply to 4
            1.500 < RA   900:1
            1.501 > A    1:1
            2.600 > A    0:1          probe by 9
            2.601 < A    1:1          reply to 8
            2.700 < A    1:9999
            3.800 > A    0:1          probe by 12
            3.801 < A    1:1          reply to 11
            3.900 > S    77000:
            3.901 < A    1:1
            5.000 > A    0:1          probe by 16
            5.001 < A    1:1          reply to 15
            5.100 < S    88000:
            5.101 > A    1:1
            6.200 > A    0:1          probe by 20
            6.201 < A    1:1          reply to 19
            """,
        ["data from nowhere, and an acknowledgement of nothing by the prober itself"] = Handshake + """
            1.000 > PA   50000:1 l=70
            2.000 > A    0:1          probe by 6
            2.001 < A    1:1          reply to 5
            2.100 < PA   60000:1 l=70
            3.200 > A    0:1          probe by 9
            3.201 < A    1:1          reply to 8
            3.300 > A    1:70000
            4.400 > A    0:1          probe by 12
            4.401 < A    1:1          reply to 11
            """,
        ["after an acknowledgement of nothing, nobody answers: repetition tells"] = Handshake + """
            1.000 < A    1:9999
            3.000 > A    0:1          probe
            4.000 > A    0:1          probe
            5.000 > A    0:1          probe
            """,
        ["the ports are used again, and the end of the connection before was not captured"] = Handshake + """
            1.000 > A    0:1          probe by 5
            1.001 < A    1:1          reply to 4
            9.000 > S    70000:
            9.001 < SA   90000:70001
            9.002 > A    70001:90001
            10.01 > A    70000:90001  probe by 10
            10.02 < A    90001:70001  reply to 9
            """,
        ["the same, and the SYN was not captured either"] = Handshake + """
            1.000 > A    0:1          probe by 5
            1.001 < A    1:1          reply to 4
            9.001 < SA   90000:70001
            9.002 > A    70001:90001
            10.01 > A    70000:90001  probe by 9
            10.02 < A    90001:70001  reply to 8
            """,
        ["the same, and all that was captured of the handshake is the SYN and what ends it"] = Handshake + """
            1.000 > A    0:1          probe by 5
            1.001 < A    1:1          reply to 4
            9.000 > S    70000:
            9.002 > A    70001:90001
            10.01 > A    70000:90001  probe by 9
            10.02 < A    90001:70001  reply to 8
            """,
        ["a capture that begins with a window closed: the reply tells"] = """
            1.000 > A    0:1          window by 2
            1.001 < A    1:1 l=0 w=0
            2.000 > A    0:1          window by 4
            2.001 < A    1:1 l=0 w=0
            2.100 < A    1:1
            3.200 > A    0:1          probe by 7
            3.201 < A    1:1          reply to 6
            """,
        ["a capture that begins amid the retransmissions of one byte"] = """
            0.200 > PA   1:1 l=1
            0.400 > PA   1:1 l=1
            0.800 > PA   1:1 l=1
            1.600 > PA   1:1 l=1
            3.200 > PA   1:1 l=1
            """,
        ["the same without PSH: the intervals double"] = """
            1.000 > A    1:1 l=1
            2.000 > A    1:1 l=1
            4.000 > A    1:1 l=1
            8.000 > A    1:1 l=1
            16.00 > A    1:1 l=1
            """,
        ["PSH on an empty probe means nothing"] = Handshake + """
            1.000 > PA   0:1          probe by 5
            1.001 < A    1:1          reply to 4
            2.000 > PA   0:1          probe by 7
            2.001 < PA   1:1          reply to 6
            3.000 > PA   1:1
            """,
        ["the same in mid-flow"] = """
            1.000 > PA   0:1          probe by 2
            1.001 < A    1:1          reply to 1
            2.000 > PA   0:1          probe by 4
            2.001 < A    1:1          reply to 3
            """,
        ["a byte with PSH was written"] = Handshake + """
            2.000 > PA   0:1 l=1
            """,
        ["one byte of new data into a closed window, never taken"] = Handshake + """
            0.100 < A    1:1 l=0 w=0
            0.400 > A    1:1 l=1      window by 6
            0.401 < A    1:1 l=0 w=0
            0.900 > A    1:1 l=1      window by 8
            0.901 < A    1:1 l=0 w=0
            1.900 > A    1:1 l=1      window by 10
            1.901 < A    1:1
            """,
        ["a reply like the acknowledgement before it, and nothing in either tells them apart"] = Handshake + """
            1.000 > PA   1:1 l=3
            1.100 < A    1:4 l=0 w=500 id=7
            1.200 > A    3:1          probe by 7
            1.201 < A    1:4 l=0 w=500 id=7   reply to 6
            1.202 < A    1:4 l=0 w=500 id=7
            """,
        ["replies to window probes alone: a closed window is no sign of a prober"] = """
            0.000 < A    1:1 l=0 w=0
            5.000 < A    1:1 l=0 w=0
            10.00 < A    1:1 l=0 w=0
            """,
        ["acknowledgements of a download alone"] = """
            0.000 > A    1:1
            0.001 > A    1:1
            1.000 > A    1:4001
            1.001 > A    1:4001
            10.00 > A    1:4001
            11.20 > A    1:4001
            12.40 > A    1:4001
            """,
        ["without times nothing is too early, too late or twice"] = """
            - > S    0:
            - < SA   0:1
            - > A    1:1
            - > A    0:1 l=0 w=500 id=1   probe by 5
            - < A    1:1 l=0 w=500 id=1   reply to 4
            - > A    0:1 l=0 w=500 id=1   probe by 7
            - < A    1:1 l=0 w=500 id=1   reply to 6
            - > A    0:1 l=0 w=500 id=1   probe
            - > A    0:1 l=0 w=500 id=1   probe by 10
            - < A    1:1 l=0 w=500 id=1   reply to 9
            """,
        ["without times in mid-flow, and one byte sent again"] = """
            - > A    0:1          probe by 2
            - < A    1:1          reply to 1
            - > PA   1:1 l=1
            - > A    1:1 l=1
            - < A    1:2
            - > A    1:1 l=1
            """,
    };

    public static TheoryData<string> Names => [.. s_cases.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Classify_Timeline_FindsTheMarkedSegments(string name)
    {
        var (expected, found, scan) = Timeline.Play(s_cases[name]);

        Assert.Equal(expected, found);
        Assert.Equal(expected.Count(line => line.Contains("probe", StringComparison.Ordinal)), scan.Probes);
        Assert.Equal(expected.Count(line => line.Contains("presumed", StringComparison.Ordinal)), scan.Presumed);
        Assert.Equal(expected.Count(line => line.Contains("reply", StringComparison.Ordinal)), scan.Replies);
        Assert.Equal(expected.Count(line => line.Contains("window", StringComparison.Ordinal)), scan.WindowProbes);
    }

    /// <summary>Sequence numbers wrap. The place where that happens in a connection must not matter.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Classify_SequencesAroundZero_ChangeNothing(string name)
    {
        foreach (var offset in (uint[])[0, 1, 2, 10, 100, 1000, 70_001, 90_001])
        {
            foreach (var server in (uint[])[5, unchecked(0 - offset)])
            {
                var (expected, found, _) = Timeline.Play(s_cases[name], unchecked(0 - offset), server);
                Assert.Equal(expected, found);
            }
        }
    }

    [Theory]
    [InlineData("1.000 < RA 1:1", true)]
    [InlineData("1.000 < R 1:", true)]
    [InlineData("1.000 < RA 0:1", false)]
    [InlineData("1.000 < RA -900:1", false)]
    [InlineData("1.000 < RA 900:1\n1.001 > A 1:1", false)]      // data may be missing in the capture, but the answer contradicts that
    [InlineData("1.000 < RA 900:1\n1.001 < A 1:1", true)]       // the answer must come from the other end
    [InlineData("1.000 < PA 1:1 l=50\n1.001 < RA 51:1", true)]  // arrived, and not acknowledged any more
    [InlineData("1.000 < PA 1:1 l=50\n1.001 < RA 1:1", true)]   // lost
    [InlineData("1.000 < FA 1:1\n1.001 > A 1:2\n1.002 < RA 1:1", true)]
    [InlineData("1.000 < RA 1:1\n1.001 > A 1:1", true)]          // on its way when the reset came
    [InlineData("1.000 > S 70000:\n1.001 < SA 90000:70001\n1.002 > A 70001:90001\n2.0 < R 1:", false)]
    [InlineData("1.000 > S 70000:\n1.001 < SA 90000:70001\n1.002 > A 70001:90001\n2.0 < R 90001:", true)]
    public void Classify_Reset_EndsTheConnectionWithTheExpectedNumberOnly(string text, bool expected)
    {
        var (_, _, scan) = Timeline.Play(Handshake + text);

        Assert.Equal(expected, scan.Classifier.Flows.All[0].IsReset);
    }

    [Theory]
    [InlineData("10 > A 0:1\n15 > A 0:1\n20 > A 0:1\n25 > A 0:1\n30 > RA 1:1", 4)]
    [InlineData("10 > A 0:1\n11 > A 0:1\n12 > A 0:1", 3)]
    [InlineData(Handshake + "1 > PA 1:1 l=9\n1.1 < A 1:10\n100 > A 7000:900\n106 > A 7000:900\n112 > A 7000:900", 3)]
    public void Probes_WithoutReplies_AreAllUnansweredAtTheEnd(string text, int expected)
    {
        var (_, found, scan) = Timeline.Play(text);

        var prober = scan.Classifier.Flows.All[0].FromLow;
        Assert.Equal((expected, expected, expected, expected), (found.Count, (int)scan.Probes, (int)prober.Probes, prober.Unanswered));
    }

    [Fact]
    public void Found_WithoutTimes_HasNoTimes()
    {
        var file = new CaptureBytes().Section().Interface();
        foreach (var (client, sequence) in (IEnumerable<(bool, uint)>)[(false, 1), (true, 0), (false, 1), (true, 0)])
        {
            file.Simple(new Frame
            {
                Source = client ? "10.0.0.1:40000" : "10.0.0.2:443",
                Destination = client ? "10.0.0.2:443" : "10.0.0.1:40000",
                Sequence = sequence,
                Acknowledged = 1,
                Identification = 1,
            }.ToBytes());
        }

        Assert.Equal(
            """
            {"frame":2,"kind":"probe","source":"10.0.0.1:40000","destination":"10.0.0.2:443","time":null,"length":0,"answeredBy":3,"rttMs":null}
            {"frame":3,"kind":"reply","source":"10.0.0.2:443","destination":"10.0.0.1:40000","time":null,"length":0,"answers":2,"rttMs":null}
            {"frame":4,"kind":"probe","source":"10.0.0.1:40000","destination":"10.0.0.2:443","time":null,"length":0}
            {"kind":"summary","packets":4,"segments":4,"flows":1,"flowsForgotten":0,"probes":2,"presumed":0,"replies":1,"unanswered":1,"windowProbes":0,"duplicates":0,"copiedProbes":0,"copiedReplies":0,"truncated":0,"notTcp":{},"rttMsLeast":null,"rttMsMean":null,"rttMsMost":null,"connections":[{"source":"10.0.0.1:40000","destination":"10.0.0.2:443","probes":2,"replies":1,"unansweredAtEnd":1,"windowProbes":0,"rttMsLeast":null,"rttMsMean":null,"rttMsMost":null,"reset":false}]}

            """,
            CaptureReport.Json(file));
        var table = CaptureReport.Table(file).Split('\n');
        Assert.Equal("       2  -                             probe        10.0.0.1:40000         10.0.0.2:443                0  by 3", table[1]);
        Assert.Equal("       3  -                             reply        10.0.0.2:443           10.0.0.1:40000              0  to 2", table[2]);
        Assert.Equal("4 packets, 4 TCP segments of 1 connection: 2 probes, 1 answered", table[^2]);
    }

    [Fact]
    public void Classify_MoreFlowsThanTheLimit_DropsTheOldestAndCountsThem()
    {
        const int limit = 300;
        var sink = new Nowhere();
        var scan = new ProbeScan(sink, limit);
        var number = 0L;
        for (var flow = 0; flow < 1000; flow++)
        {
            Take(flow, 1);
            Take(0, 1);   // the first one is never the oldest
        }
        Assert.Equal((limit, 700), (scan.Classifier.Flows.Count, scan.Classifier.Flows.Forgotten));

        // These flows are kept: earlier segments classify the next probe. A dropped flow starts again, in mid-flow.
        Take(0, 0, seconds: 9);
        Take(350, 0, seconds: 9);
        Take(999, 0, seconds: 9);
        Assert.Equal(2, scan.Probes);

        void Take(int flow, uint sequence, int seconds = 1)
        {
            foreach (var client in (bool[])[true, false])
            {
                var (a, b) = ($"10.0.{flow / 256}.{flow % 256}:40000", "10.1.0.2:443");
                var bytes = new Frame
                {
                    Source = client ? a : b,
                    Destination = client ? b : a,
                    Sequence = client ? sequence : 1,
                    Acknowledged = 1,
                    Identification = (ushort)number,
                }.ToBytes();
                scan.Take(new CapturedPacket(++number, seconds * 1_000_000_000L, LinkType.Ethernet, bytes, bytes.Length));
                if (sequence == 0)
                {
                    return;
                }
            }
        }
    }

    [Fact]
    public void Found_TooManyAfterAnUnansweredProbe_IsReportedBefore5Seconds()
    {
        const int more = 1000;
        var sink = new Nowhere();
        var scan = new ProbeScan(sink);
        for (var i = 0; i < FindingQueue.Limit + more; i++)
        {
            var client = $"10.{i >> 16}.{(i >> 8) & 255}.{i & 255}:40000";
            foreach (var bytes in new[]
            {
                new Frame { Source = "10.9.9.9:443", Destination = client, Payload = [1, 2], Acknowledged = 1 }.ToBytes(),
                new Frame { Source = client, Destination = "10.9.9.9:443", Sequence = 0, Acknowledged = 2 }.ToBytes(),
            })
            {
                scan.Take(new CapturedPacket(scan.Packets + 1, 1, LinkType.Ethernet, bytes, bytes.Length));
            }
        }
        Assert.Equal(FindingQueue.Limit + more, scan.Probes);
        Assert.InRange(sink.Count, more - 1, more);
        scan.End();
        Assert.Equal(scan.Probes, sink.Count);
    }

    /// <summary>The first probe of a capture, 75 s before the next one, and meanwhile another connection's.</summary>
    [Theory]
    [InlineData(true, "1 probe,2 probe,3 probe,4 probe,5 probe")]
    [InlineData(false, "2 probe,3 probe,1 probe,4 probe,5 probe")]
    public void Found_CandidateShownLate_IsInOrderInAFileAndLateInAStream(bool isWhole, string expected)
    {
        var sink = new Everything();
        var scan = new ProbeScan(sink) { IsWhole = isWhole };
        Probe(scan, 1, "10.0.0.1:40000", 1);
        Probe(scan, 2, "10.0.0.2:40000", 10, isKnown: true);
        Probe(scan, 3, "10.0.0.2:40000", 20);
        Probe(scan, 4, "10.0.0.1:40000", 76);
        Probe(scan, 5, "10.0.0.1:40000", 151);
        scan.End();

        Assert.Equal(expected, string.Join(',', sink.Found));
        Assert.Equal((5, 3), (scan.Probes, scan.Presumed));
    }

    /// <summary>The lines behind a candidate are bounded also in a file: then it comes late, and it does come.</summary>
    [Fact]
    public void Found_MoreThanTheLimitBehindACandidate_AreReportedBeforeIt()
    {
        const int more = 1000;
        var sink = new Everything();
        var scan = new ProbeScan(sink) { IsWhole = true };
        Probe(scan, 1, "10.0.0.1:40000", 1);
        Probe(scan, 2, "10.0.0.2:40000", 2, isKnown: true);
        for (var i = 1; i < FindingQueue.Limit + more; i++)
        {
            Probe(scan, 2 + i, "10.0.0.2:40000", 2 + i);
            Assert.InRange(scan.Probes - sink.Found.Count, 0, FindingQueue.Limit);
        }

        Probe(scan, 100_000, "10.0.0.1:40000", 100_000);

        Assert.Equal("1 probe", sink.Found[^1]);
        scan.End();
        Assert.Equal((FindingQueue.Limit + more + 2, FindingQueue.Limit + more + 2), ((int)scan.Probes, sink.Found.Count));
    }

    /// <summary>One that nothing will confirm any more holds up nothing.</summary>
    [Theory]
    [InlineData("1.000 > A 0:1\n1.001 > PA 0:1 l=9\n1.002 < A 1:9\n2.000 > A 8:1\n2.001 < A 1:9")]
    [InlineData("1.000 > A 0:1\n1.001 < PA 1:0 l=9\n1.002 > A 0:10\n2.000 > A -1:10\n2.001 < A 10:0")]
    public void Found_BehindARefutedCandidate_IsReportedAtOnce(string text)
    {
        var sink = new Everything();
        Timeline.Play(text, into: new ProbeScan(sink) { IsWhole = true });

        Assert.Equal(["4 probe", "5 reply"], sink.Found);
    }

    /// <summary>A capture may begin with a candidate in each of very many connections: only as many are remembered as there are flows.</summary>
    [Fact]
    public void Found_CandidatesOfForgottenFlows_AreForgotten()
    {
        const int limit = 300;
        var sink = new Everything();
        var scan = new ProbeScan(sink, limit);
        for (var i = 0; i < 5 * limit; i++)
        {
            Probe(scan, i + 1, $"10.0.{i / 256}.{i % 256}:40000", i);
        }
        for (var i = 0; i < 5 * limit; i++)
        {
            var client = (5 * limit) - 1 - i;   // the newest first: they are still known
            Probe(scan, 10_000 + i, $"10.0.{client / 256}.{client % 256}:40000", 10_000 + i);
        }
        scan.End();

        Assert.Equal(2 * limit, scan.Probes);
        Assert.Equal(scan.Probes, sink.Found.Count);
    }

    /// <summary>A probe from a client, before which its handshake's last segments may have been captured.</summary>
    private static void Probe(ProbeScan scan, long number, string client, long seconds, bool isKnown = false)
    {
        if (isKnown)
        {
            Take(new Frame { Source = "10.9.9.9:443", Destination = client, Sequence = 1, Acknowledged = 1 }, seconds - 1);
        }
        Take(new Frame { Source = client, Destination = "10.9.9.9:443", Sequence = 0, Acknowledged = 1 }, seconds);

        void Take(Frame frame, long at)
        {
            var bytes = (frame with { Identification = (ushort)number }).ToBytes();
            scan.Take(new CapturedPacket(number, at * 1_000_000_000, LinkType.Ethernet, bytes, bytes.Length));
        }
    }

    private sealed class Everything : IFindingSink
    {
        public List<string> Found { get; } = [];

        void IFindingSink.Found(in Finding finding) => Found.Add($"{finding.Frame} {(finding.Kind == SegmentKind.Reply ? "reply" : "probe")}");
    }

    private sealed class Nowhere : IFindingSink
    {
        public long Count { get; private set; }

        public void Found(in Finding finding) => Count++;
    }
}
