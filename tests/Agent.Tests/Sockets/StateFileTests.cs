using Keepalive.Agent.Sockets;
using Keepalive.Agent.Tests.Apply;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Sockets;

public sealed class StateFileTests : IDisposable
{
    private const string Boot = "b00t";

    private static readonly KeepaliveOptions s_off = new(false, 7200, 75, 9);
    private static readonly KeepaliveOptions s_on = new(true, 700, 10, 20);
    private static readonly KeepaliveOptions s_later = new(true, 60, 5, 3);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-state");

    private string FilePath => Path.Combine(_directory.FullName, "state");

    [Fact]
    public void Load_AfterKill_KnowsConfirmedAndOpenIntentsApart()
    {
        var file = StateFile.Create(FilePath, Boot, Nothing);
        file.Intend(1, 10, s_off, s_off, s_on, null);
        file.Confirm();
        file.Intend(1, 11, s_off, s_off, s_on, null);
        file.Note(2, 12, SocketMemory.OfKept(s_later));
        file.Note(2, 13, SocketMemory.OfApplication);
        file.Intend(1, 10, s_off, s_on, s_later, null);

        // Not disposed: a killed process does not dispose either.
        var known = Load();
        Assert.Equal(4, known.Count);
        Assert.Equal(new SocketMemory(SocketHolder.Agent, s_off, s_later, Replaces: s_on), known[(1, 10)]);
        Assert.Equal(new SocketMemory(SocketHolder.Agent, s_off, s_on, Replaces: s_off), known[(1, 11)]);
        Assert.Equal(SocketMemory.OfKept(s_later), known[(2, 12)]);
        Assert.Equal(SocketMemory.OfApplication, known[(2, 13)]);
        file.Dispose();
    }

    [Fact]
    public void Create_FromLoaded_KeepsEverything()
    {
        var known = new Dictionary<(ulong, ulong), SocketMemory>
        {
            [(1, 10)] = SocketMemory.OfAgent(s_off, s_on),
            [(1, 11)] = new(SocketHolder.Agent, s_off, s_on, Replaces: s_off),
            [(2, 12)] = SocketMemory.OfKept(s_later),
            [(2, 13)] = SocketMemory.OfApplication,
            [(2, 14)] = SocketMemory.OfAgent(new KeepaliveOptions(false, 864_000, 0, 255), s_on),   // from a sysctl, which allows any value
        };
        StateFile.Create(FilePath, Boot, known).Dispose();
        var again = Load();
        Assert.Equal(known.Count, again.Count);
        Assert.Equal(SocketMemory.OfAgent(s_off, s_on), again[(1, 10)] with { Replaces = null });
        Assert.True(again[(1, 10)].IsAsLeft(s_on));
        Assert.False(again[(1, 10)].IsAsLeft(s_off));
        Assert.True(again[(1, 11)].IsAsLeft(s_off));
        Assert.Equal(known[(2, 12)], again[(2, 12)]);
        Assert.Equal(known[(2, 13)], again[(2, 13)]);
        Assert.Equal(known[(2, 14)], again[(2, 14)] with { Replaces = null });
    }

    [Fact]
    public void Load_AnotherBoot_IsEmpty()
    {
        StateFile.Create(FilePath, Boot, new Dictionary<(ulong, ulong), SocketMemory> { [(1, 10)] = SocketMemory.OfApplication }).Dispose();
        Assert.Single(Load());
        File.WriteAllText(FilePath, File.ReadAllText(FilePath).Replace(Boot, "0a1b2c3d-0000-4000-8000-0123456789ab", StringComparison.Ordinal));
        Assert.Empty(StateFile.Load(FilePath, "other", Assert.Fail));
        Assert.Empty(StateFile.Load(FilePath, "other", Assert.Fail, bootedAt: File.GetLastWriteTimeUtc(FilePath).AddSeconds(1)));
    }

    /// <summary>Regression: all records were lost without a warning.</summary>
    [Theory]
    [InlineData("0a1b2c3d-0000-4000-8000-0123456789a", "state:1: '0a1b2c3d-0000-4000-8000-0123456789a' is not a boot id")]
    [InlineData("0a1b2c3d-0000-4000-8000-0123456789a\u001b", "0123456789a?' is not a boot id")]
    [InlineData("", "state:1: '' is not a boot id")]
    [InlineData("0a1b2c3d-0000-4000-8000-0123456789ab", "state:1: the file was written since this boot began and names another boot")]
    public void Load_DamagedBootId_IsReported(string boot, string warning)
    {
        File.WriteAllText(FilePath, $"keepalive-agent-state 1 {boot}\n");
        var warnings = new List<string>();
        Assert.Empty(StateFile.Load(FilePath, Boot, warnings.Add, bootedAt: File.GetLastWriteTimeUtc(FilePath).AddSeconds(-1)));
        Assert.Contains(warning, Assert.Single(warnings), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "is not a state file")]
    [InlineData("\n\n", "is not a state file")]
    [InlineData("\0\0\0\0", "is not a state file")]
    [InlineData("keepalive-agent-state 2 b00t\n", "is not a state file")]
    [InlineData("keepalive-agent-state 1 b00t", "")]
    [InlineData("keepalive-agent-state 1 b00t\nset 1 10 off,7200,75,9 off,7200,75,9 on,700,1", "")]
    [InlineData("keepalive-agent-state 1 b00t\nset 1\nset x y\nfuture 1 2 3\nset 1 10 1 2 3\n", "state:2: 4 lines are invalid")]
    [InlineData("keepalive-agent-state 1 b00t\nkept 1 10 on,-1,0,300\n", "state:2: 1 line are invalid")]
    public void Load_DamagedFile_IsIgnoredAndReported(string text, string warning)
    {
        File.WriteAllText(FilePath, text);
        var warnings = new List<string>();
        Assert.Empty(StateFile.Load(FilePath, Boot, warnings.Add));
        Assert.Equal(warning.Length == 0 ? 0 : 1, warnings.Count);
        Assert.All(warnings, w => Assert.Contains(warning, w, StringComparison.Ordinal));
    }

    [Fact]
    public void Load_OneBadLineAmongGoodOnes_LosesOnlyThatLine()
    {
        var file = StateFile.Create(FilePath, Boot, Nothing);
        for (var cookie = 1ul; cookie <= 100; cookie++)
        {
            file.Intend(1, cookie, s_off, s_off, s_on, null);
        }
        file.Confirm();
        file.Dispose();
        var lines = File.ReadAllLines(FilePath);
        lines[50] = "set hello";
        File.WriteAllLines(FilePath, lines);
        var warnings = new List<string>();
        var known = StateFile.Load(FilePath, Boot, warnings.Add);
        Assert.Equal(99, known.Count);
        Assert.All(known.Values, memory => Assert.Equal(SocketMemory.OfAgent(s_off, s_on), memory));
        Assert.Contains("state:51: 1 line", Assert.Single(warnings), StringComparison.Ordinal);
    }

    [Fact]
    public void Compact_ManyChanges_BoundsTheFileAndLosesNothing()
    {
        using var file = StateFile.Create(FilePath, Boot, Nothing);
        var live = new Dictionary<(ulong, ulong), SocketMemory> { [(1, 10)] = SocketMemory.OfAgent(s_off, s_on) };
        for (var i = 0; i < 20_000; i++)
        {
            file.Intend(1, 10, s_off, s_on, s_later, null);
            file.Confirm();
            file.CompactWhenWorthwhile(() => live, () => live.Count);
        }
        file.Intend(1, 99, s_off, s_off, s_on, null);
        Assert.InRange(new FileInfo(FilePath).Length, 1, 1024 * 1024);
        Assert.Contains((1ul, 99ul), Load().Keys);
        Assert.Contains((1ul, 10ul), Load().Keys);
    }

    [Fact]
    public void Compact_EachSocketHasOneLine_DoesNotRewriteTheFile()
    {
        const int sockets = 5000;
        using var file = StateFile.Create(FilePath, Boot, Nothing);
        var rule = Rig.PolicyFor("203.0.113.0/24", "time: 700s").Policy.Rules[0];
        var live = new Dictionary<(ulong, ulong), SocketMemory>();
        var rewritten = 0;
        for (var round = 1; round <= 4; round++)
        {
            for (var cookie = 1ul; cookie <= sockets; cookie++)
            {
                file.Plan(4026531840, 1_000_000 + cookie, s_off, s_off, s_on, rule);
                live[(4026531840, 1_000_000 + cookie)] = SocketMemory.OfAgent(s_off, s_on);
            }
            Assert.True(file.TryWritePlans());
            file.Confirm();
            file.CompactWhenWorthwhile(Known, () => sockets);
            Assert.Equal(round == 1 ? 0 : 1, Math.Min(rewritten, 1));
        }
        Assert.Equal(sockets, Load().Count);

        IEnumerable<KeyValuePair<(ulong, ulong), SocketMemory>> Known()
        {
            rewritten++;
            return live;
        }
    }

    [Fact]
    public void Announce_AfterKill_HasValuesAndOriginalsOfUnknownSockets()
    {
        var file = StateFile.Create(FilePath, Boot, Nothing);
        file.Announce([new(700, 10, 20), new(60, null, 3)]);
        var known = StateFile.Load(FilePath, Boot, Assert.Fail);
        Assert.True(known.MayHaveArrived(s_on));
        Assert.True(known.MayHaveArrived(new KeepaliveOptions(true, 60, 17, 3)));
        Assert.False(known.MayHaveArrived(s_on with { Enabled = false }));
        Assert.False(known.MayHaveArrived(s_on with { Probes = 3 }));
        Assert.Equal(SocketMemory.OfAgent(s_off, s_on), known.Arrived(s_on, untouched: null));
        Assert.Equal(
            SocketMemory.OfAgent(new(false, 500, 17, 8), new(true, 60, 17, 3)),
            known.Arrived(new(true, 60, 17, 3), untouched: new(false, 500, 50, 8)));

        // It survives a restart, and the end of an agent that handles its sockets itself.
        StateFile.Create(FilePath, Boot, known).Dispose();
        Assert.Equal(2, StateFile.Load(FilePath, Boot, Assert.Fail).Arriving.Count);
        file = StateFile.Create(FilePath, Boot, known);
        file.TryAnnounce([]);
        Assert.Empty(StateFile.Load(FilePath, Boot, Assert.Fail).Arriving);
        file.Dispose();
    }

    [Fact]
    public void Plan_ManySockets_AreWrittenTogetherAndKnownAfterKill()
    {
        var file = StateFile.Create(FilePath, Boot, Nothing);
        file.Intend(1, 1, s_off, s_off, s_on, null);
        file.Confirm();
        file.Note(1, 2, SocketMemory.OfKept(s_later));
        var length = new FileInfo(FilePath).Length;
        for (var cookie = 10ul; cookie < 30; cookie++)
        {
            file.Plan(1, cookie, s_off, s_off, cookie % 2 == 0 ? s_on : s_later, null, cookie % 3 == 0 ? new UserTimeoutMemory(0, 0, (int)cookie) : null);
        }
        file.Note(1, 3, SocketMemory.OfApplication);
        Assert.Equal(length, new FileInfo(FilePath).Length);
        Assert.True(file.TryWritePlans());
        var known = Load();   // a wrong checksum is a warning, which fails
        Assert.Equal(23, known.Count);
        for (var cookie = 10ul; cookie < 30; cookie++)
        {
            var expected = new SocketMemory(SocketHolder.Agent, s_off, cookie % 2 == 0 ? s_on : s_later, Replaces: s_off)
            {
                UserTimeout = cookie % 3 == 0 ? new UserTimeoutMemory(0, 0, (int)cookie) : null,
            };
            Assert.Equal(expected, known[(1, cookie)]);
        }
        file.Confirm();
        Assert.Equal(SocketMemory.OfAgent(s_off, s_on), Load()[(1, 10)]);
        file.Dispose();
    }

    [Fact]
    public void Note_InABulk_IsWrittenAtItsEndAtTheLatest()
    {
        var file = StateFile.Create(FilePath, Boot, Nothing);
        file.BeginBulk();
        file.Note(1, 10, SocketMemory.OfApplication);
        Assert.Empty(Load());
        file.EndBulk();
        Assert.Single(Load());
        file.Note(1, 11, SocketMemory.OfApplication);
        Assert.Equal(2, Load().Count);
        file.BeginBulk();
        for (var cookie = 100ul; cookie < 5_000; cookie++)
        {
            file.Note(1, cookie, SocketMemory.OfApplication);
        }
        Assert.InRange(Load().Count, 1_000, 4_901);   // many are not kept in memory
        file.Dispose();
    }

    [Fact]
    public void Intend_LongNames_AreNoted()
    {
        using var file = StateFile.Create(FilePath, Boot, Nothing);
        file.Intend(1, 10, s_off, s_off, s_on, new Keepalive.Config.Compilation.CompiledRule
        {
            Policy = new string('p', 5000),
            Destination = "d",
            Settings = default,
            Prefix = default,
            Port = 0,
            Position = default,
        });
        Assert.Single(Load());
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private static Dictionary<(ulong, ulong), SocketMemory> Nothing => [];

    private Dictionary<(ulong Namespace, ulong Cookie), SocketMemory> Load() => StateFile.Load(FilePath, Boot, Assert.Fail);
}
