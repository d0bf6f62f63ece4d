using Keepalive.Agent.Apply.Pidfd;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Sockets;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Readings that ask for each socket show what a dump shows.</summary>
public sealed class RosterTests : IDisposable
{
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(20);

    private readonly Lab _lab;
    private readonly Rig _rig;
    private readonly List<Holder> _beside = [];
    private readonly int _port;
    private PidfdDatapath _datapath = null!;

    public RosterTests()
    {
        Live.Require();
        _lab = new Lab();
        _port = _lab.Server.Listen();
        _rig = new Rig(_lab.Client.NetnsPath, (only, known, state) => _datapath = new PidfdDatapath(Datapaths.Options(only, known, state)))
        {
            Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues),
        };
        // The first reading is a dump, and so is the first after a change.
        for (var dump = 0; dump < 2; dump++)
        {
            var cookie = Connect();
            Assert.Equal(SocketOutcome.Managed, Reads(dumps: true)[cookie].Outcome);
        }
    }

    [Fact]
    public void Pass_ConnectionsComeAndGo_AreReadWithoutADump()
    {
        var second = _lab.Client.Connect(Lab.ServerAddress, _port);
        var cookie = _lab.Client.Cookie(second);
        var record = Reads(dumps: false)[cookie];
        Assert.Equal((SocketOutcome.Managed, _lab.Client.Pid), (record.Outcome, record.Pid));
        Assert.True(_lab.Client.Get(second).On);

        _lab.Client.Close(second);
        Assert.DoesNotContain(cookie, Open(Reads(dumps: false)).Keys);
    }

    [Fact]
    public void Pass_ConnectionsOfAllKinds_AreThoseOfSs()
    {
        var port = _lab.Client.Listen();
        var opened = new List<int>();
        var random = new Random(7);
        using var beside = _lab.Client.StartBeside();
        for (var pass = 0; pass < 24; pass++)
        {
            for (var i = random.Next(1, 4); i > 0; i--)
            {
                switch (random.Next(7))
                {
                    case 0 when opened.Count > 0:
                        _lab.Client.Abort(Take(opened, random));
                        break;
                    case 1 when opened.Count > 0:
                        _lab.Client.Close(Take(opened, random));
                        break;
                    case 2 when opened.Count > 0:
                        _lab.Client.HalfClose(Take(opened, random));
                        break;
                    case 3:
                        beside.Connect(random.Next(2) == 0 ? Lab.ServerAddress : Lab.ServerAddress6, _port);
                        break;
                    case 4:
                        _lab.Server.Connect(Lab.ClientAddress, port);
                        break;
                    case 5:
                        _lab.Client.Close(_lab.Client.Connect(Lab.ServerAddress, _port));
                        break;
                    default:
                        opened.Add(_lab.Client.Connect(random.Next(3) == 0 ? Lab.ServerAddressMapped : Lab.ServerAddress, _port));
                        break;
                }
            }
            _rig.Pass();
            if (_rig.All.Count > 0)
            {
                AssertIsThatOfSs();
            }
        }
        Assert.InRange(_datapath.ReadWithoutDump, 5, 24);
    }

    [Fact]
    public void Pass_ConnectionOfAProcessElsewhere_IsSeen()
    {
        using var stray = _lab.Client.StartBeside();
        var id = stray.Connect(Lab.ServerAddress, _port);
        var cookie = stray.Cookie(id);
        stray.Enter(_lab.Server);

        Assert.Contains(cookie, Reads(dumps: true).Keys);
    }

    /// <summary>Regression: a socket with two descriptors counted twice, and stood for one that was not found.</summary>
    [Fact]
    public void Pass_ConnectionWithTwoDescriptorsAndOneElsewhere_BothAreSeen()
    {
        Live.Require("python3");
        using var twice = new ProgramRun(
            ["python3", "-c", $"import os, socket, time; s = socket.create_connection(('{Lab.ServerAddress}', {_port})); os.dup(s.fileno()); print('ready', flush=True); time.sleep(600)"],
            _lab.Client);
        twice.WaitForLine(line => line == "ready");
        using var stray = _lab.Client.StartBeside();
        var cookie = stray.Cookie(stray.Connect(Lab.ServerAddress, _port));
        stray.Enter(_lab.Server);

        Assert.Contains(cookie, Reads(dumps: true).Keys);
        AssertIsThatOfSs();
        Connect();
        Reads(dumps: false);
        AssertIsThatOfSs();
    }

    [Fact]
    public void Pass_ConnectionInCloseWait_IsNeitherLostNorCountedForAnother()
    {
        _lab.Client.AcceptByHand();
        var port = _lab.Client.Listen();
        var first = _lab.Server.Connect(Lab.ClientAddress, port);
        Eventually.True(() => _lab.Client.Count().Accepted == 1, s_soon);
        Connect();
        _rig.Pass();
        _lab.Server.HalfClose(first);
        Eventually.True(() => Ss.Read(_lab.Client).Any(socket => socket.State == "CLOSE-WAIT"), s_soon);
        for (var pass = 0; pass < 4; pass++)
        {
            Connect();
            _rig.Pass();
            AssertIsThatOfSs();
        }
        Assert.True(_datapath.ReadWithoutDump > 0);
    }

    [Theory]
    [InlineData(500, 1)]
    [InlineData(120, 5)]
    public void Pass_TooManyDescriptors_Dumps(int descriptors, int processes)
    {
        for (var i = 0; i < processes; i++)
        {
            _beside.Add(_lab.Client.StartBeside());
            _beside[i].OpenFiles(descriptors);
        }
        var cookie = Connect();
        Assert.Equal(SocketOutcome.Managed, Reads(dumps: true)[cookie].Outcome);
    }

    public void Dispose()
    {
        _rig.Dispose();
        _beside.ForEach(holder => holder.Dispose());
        _lab.Dispose();
    }

    private ulong Connect() => _lab.Client.Cookie(_lab.Client.Connect(Lab.ServerAddress, _port));

    /// <summary>The records of a pass that reads the namespace.</summary>
    private Dictionary<ulong, SocketRecord> Reads(bool dumps)
    {
        var before = _datapath.ReadWithoutDump;
        Assert.Equal(1, _rig.Pass().NamespacesDumped);
        Assert.Equal(dumps ? 0 : 1, _datapath.ReadWithoutDump - before);
        return _rig.Records;
    }

    private static Dictionary<ulong, SocketRecord> Open(Dictionary<ulong, SocketRecord> records) =>
        records.Where(record => record.Value.State is TcpState.Established or TcpState.CloseWait).ToDictionary();

    private void AssertIsThatOfSs()
    {
        var held = Ss.Read(_lab.Client).Where(socket => socket.Inode != 0 && socket.State is "ESTAB" or "CLOSE-WAIT").ToDictionary(socket => socket.Cookie, socket => socket.Local.Port);
        Assert.Equal(held.Keys.Order(), Open(_rig.Records).Keys.Order());
    }

    private static int Take(List<int> open, Random random)
    {
        var index = random.Next(open.Count);
        var taken = open[index];
        open.RemoveAt(index);
        return taken;
    }
}
