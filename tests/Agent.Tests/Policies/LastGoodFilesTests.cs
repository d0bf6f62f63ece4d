using System.Net.Sockets;
using Keepalive.Agent.Log;
using Keepalive.Agent.Policies;
using Keepalive.Config;
using Keepalive.Linux.Files;
using Keepalive.Testbed;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Keepalive.Agent.Tests.Policies;

/// <summary>A file with errors counts with its last good content, in the running agent and in the next one.</summary>
public sealed class LastGoodFilesTests : IDisposable
{
    private readonly TestClock _clock = new();
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("keepalive-last-good");
    private readonly LogLines _log = new(LogLevel.Warning);

    public LastGoodFilesTests() => Directory.CreateDirectory(Policies);

    private string Policies => Path.Combine(_root.FullName, "policies");

    private string Data => Path.Combine(_root.FullName, "data");

    private string Kept => Path.Combine(Data, LastGoodFiles.FileName);

    [Fact]
    public void Start_OneFileBrokenAndNothingKept_TheOthersAreInForceAndItsSocketsUndecided()
    {
        Write("a.yaml", Policy("a", "10.0.0.1"));
        Write("b.yaml", "kind: [");
        var load = Start();
        Assert.Equal(["10.0.0.1"], RulesOf(load));
        var broken = Assert.Single(load.Broken!.Value);
        Assert.Equal((Path.Combine(Policies, "b.yaml"), null), (broken.Path, broken.GoodAt));
        Assert.Contains("is ignored until it is corrected", broken.Consequence, StringComparison.Ordinal);
        // An earlier agent may have set sockets by this file. They keep their values.
        Assert.False(load.Snapshot!.IsComplete);
        Assert.Empty(load.Errors);
    }

    [Fact]
    public void Start_OnlyABrokenFile_RunsWithoutAPolicy()
    {
        Write("a.yaml", "kind: [");
        var load = Start();
        Assert.Empty(RulesOf(load));
        Assert.False(load.Snapshot!.IsComplete);
    }

    [Fact]
    public void Start_EmptyDirectory_RunsWithoutAPolicy()
    {
        var broken = Assert.Single(Start().Broken!.Value);
        Assert.Equal((Policies, null), (broken.Path, broken.GoodAt));
    }

    [Theory]
    [InlineData("nowhere")]
    [InlineData("policies/none.yaml")]
    public void Start_PathThatNeverExisted_IsRefused(string path)
    {
        Write("a.yaml", Policy("a", "10.0.0.1"));
        using var data = OpenedData.Open(Data);
        var load = Source(data, Policies, Path.Combine(_root.FullName, path)).Load(default);
        Assert.Null(load.Snapshot);
        Assert.Single(load.Errors);
    }

    [Fact]
    public void Restart_FileBroken_CountsWithItsLastGoodContentAndItsTime()
    {
        Write("a.yaml", Policy("a", "10.0.0.1"));
        Write("b.yaml", Policy("b", "10.0.0.2"));
        var at = _clock.GetUtcNow();
        Start();
        _clock.Advance(TimeSpan.FromDays(1));
        Write("a.yaml", Policy("a", "10.0.0.3"));
        Write("b.yaml", Policy("b", "10.0.0.4").Replace("time: 60s", "time: sixty", StringComparison.Ordinal));
        var load = Start();
        Assert.Equal(["10.0.0.2", "10.0.0.3"], RulesOf(load));
        Assert.True(load.Snapshot!.IsComplete);
        var broken = Assert.Single(load.Broken!.Value);
        Assert.Equal((1, at), (broken.Errors.Length, broken.GoodAt));
        Assert.Equal("its last good content, loaded 2026-11-23T12:00:00Z, stays in force", broken.Consequence);

        // It survives any number of restarts, and its correction ends it.
        _clock.Advance(TimeSpan.FromDays(1));
        Assert.Equal(at, Assert.Single(Start().Broken!.Value).GoodAt);
        Write("b.yaml", Policy("b", "10.0.0.4"));
        load = Start();
        Assert.Empty(load.Broken!.Value);
        Assert.Equal(["10.0.0.3", "10.0.0.4"], RulesOf(load));
        Assert.Empty(_log.Said);
    }

    [Fact]
    public void Running_FileBroken_ChangesOfTheOthersComeIntoForce()
    {
        Write("a.yaml", Policy("a", "10.0.0.1"));
        Write("b.yaml", Policy("b", "10.0.0.2"));
        using var data = OpenedData.Open(Data);
        var source = Source(data, Policies);
        source.Load(default);
        Write("a.yaml", Policy("a", "10.0.0.3"));
        Write("b.yaml", "kind: [");
        var load = source.Refresh(force: true, isPassDue: false, default)!;
        Assert.Equal(["10.0.0.2", "10.0.0.3"], RulesOf(load));
        Assert.True(load.Snapshot!.IsComplete);
    }

    /// <summary>Somebody adds a file and does not rename the copied objects in it.</summary>
    [Fact]
    public void Running_NewFileHasTheSameObjects_WhatIsInForceIsNamed()
    {
        Write("b.yaml", Policy("a", "10.0.0.1"));
        using var data = OpenedData.Open(Data);
        var source = Source(data, Policies);
        source.Load(default);
        Write("a.yaml", Policy("a", "10.0.0.2"));
        var load = source.Refresh(force: true, isPassDue: false, default)!;
        Assert.Equal(["10.0.0.2"], RulesOf(load));
        var broken = Assert.Single(load.Broken!.Value);
        Assert.Equal(Path.Combine(Policies, "b.yaml"), broken.Path);
        Assert.Equal($"its objects are in {Path.Combine(Policies, "a.yaml")} too, which is in force instead", broken.Consequence);
    }

    [Fact]
    public void File_Removed_ItsContentIsRemovedToo()
    {
        Write("a.yaml", Policy("a", "10.0.0.1"));
        Write("b.yaml", Policy("b", "10.0.0.2"));
        Start();
        File.Delete(Path.Combine(Policies, "b.yaml"));
        Start();
        Assert.DoesNotContain("10.0.0.2", File.ReadAllText(Kept), StringComparison.Ordinal);
        Write("b.yaml", "kind: [");
        Assert.Equal(["10.0.0.1"], RulesOf(Start()));
    }

    [Fact]
    public void File_Renamed_ItsContentIsKeptUnderTheNewName()
    {
        Write("a.yaml", Policy("a", "10.0.0.1"));
        Start();
        File.Move(Path.Combine(Policies, "a.yaml"), Path.Combine(Policies, "z.yaml"));
        Start();
        Write("z.yaml", "kind: [");
        var load = Start();
        Assert.Equal(["10.0.0.1"], RulesOf(load));
        Assert.EndsWith("/z.yaml", Assert.Single(load.Broken!.Value).Path, StringComparison.Ordinal);
    }

    [Fact]
    public void Object_MovedOutOfABrokenFile_CountsOnce()
    {
        Write("a.yaml", Policy("one", "10.0.0.1") + "\n---\n" + Policy("two", "10.0.0.2"));
        Start();
        Write("a.yaml", "kind: [");
        Write("b.yaml", Policy("one", "10.0.0.9"));
        Assert.Equal(["10.0.0.2", "10.0.0.9"], RulesOf(Start()));
    }

    [Fact]
    public void Directory_Missing_ItsFilesCountWithTheirLastGoodContent()
    {
        Write("a.yaml", Policy("a", "10.0.0.1"));
        Start();
        Directory.Move(Policies, Policies + ".away");
        var load = Start();
        Assert.Equal(["10.0.0.1"], RulesOf(load));
        var broken = Assert.Single(load.Broken!.Value);
        Assert.Equal(Policies, broken.Path);
        Assert.NotNull(broken.GoodAt);
        Directory.Move(Policies + ".away", Policies);
        Assert.Empty(Start().Broken!.Value);
    }

    /// <summary>Each file is valid, but all of them need too many rules.</summary>
    [Fact]
    public void Start_FilesThatCannotBeUsedTogether_LastGoodOnesCount()
    {
        Write("a.yaml", Policy("a", "10.0.0.1"));
        Start();
        var addresses = string.Join(", ", Enumerable.Range(0, 9000).Select(i => $"10.0.{i >> 8}.{i & 255}"));
        var ports = string.Concat(Enumerable.Range(1, 25).Select(port => $"\n  - number: {port}\n    protocol: TCP"));
        Write("a.yaml", $"{Policy("a", addresses)}\n  ports:{ports}\n");
        var load = Start();
        Assert.Equal(["10.0.0.1"], RulesOf(load));
        Assert.Single(load.Errors);
        File.Delete(Kept);
        Assert.False(Start().Snapshot!.IsComplete);
    }

    [Fact]
    public void ConfigMapVolume_Swapped_ItsLinksAreTheNamesOfTheFiles()
    {
        Swap(1, Policy("a", "10.0.0.1"));
        File.CreateSymbolicLink(Path.Combine(Policies, "policy.yaml"), "..data/policy.yaml");
        using (var data = OpenedData.Open(Data))
        {
            var source = Source(data, Policies);
            Assert.Equal(["10.0.0.1"], RulesOf(source.Load(default)));
            Swap(2, Policy("a", "10.0.0.2"));
            Assert.Equal(["10.0.0.2"], RulesOf(source.Refresh(force: true, isPassDue: false, default)));
        }
        Swap(3, "kind: [");
        var load = Start();
        Assert.Equal(["10.0.0.2"], RulesOf(load));
        Assert.Equal(Path.Combine(Policies, "policy.yaml"), Assert.Single(load.Broken!.Value).Path);
    }

    [Theory]
    [InlineData("other version", "is of another version of this program")]
    [InlineData("flipped bit", "its checksum does not match")]
    [InlineData("cut", "its checksum does not match")]
    [InlineData("empty", "its first line is not")]
    [InlineData("symbolic link", "is a symbolic link")]
    [InlineData("fifo", "is not a regular file")]
    [InlineData("of others", "belongs to another user")]
    [InlineData("huge", "EFBIG")]
    public void KeptFile_NotUsable_IsReportedAndReplacedByTheNextGoodContent(string damage, string problem)
    {
        Write("a.yaml", Policy("a", "10.0.0.1"));
        Start();
        Damage(damage);
        Write("a.yaml", "kind: [");
        Assert.Empty(RulesOf(Start()));
        var line = Assert.Single(_log.Said);
        Assert.Equal(EventIds.KeptPoliciesUnreadable, line.Id);
        Assert.Contains(problem, line.Text, StringComparison.Ordinal);

        Write("a.yaml", Policy("a", "10.0.0.2"));
        Start();
        _log.Said.Clear();
        Write("a.yaml", "kind: [");
        Assert.Equal(["10.0.0.2"], RulesOf(Start()));
        Assert.Empty(_log.Said);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Kept));
        Assert.Equal("outside", File.ReadAllText(Path.Combine(_root.FullName, "outside")));
    }

    [Fact]
    public void File_TooLarge_IsNotKeptAndReported()
    {
        Write("a.yaml", Policy("a", "10.0.0.1"));
        Write("b.yaml", Policy("b", "10.0.0.2") + "\n# " + new string('x', LastGoodFiles.MaxOfAFile) + "\n");
        Start();
        Assert.Equal(EventIds.PoliciesNotKept, Assert.Single(_log.Said).Id);
        Write("b.yaml", "kind: [");
        Assert.Equal(["10.0.0.1"], RulesOf(Start()));
    }

    [Fact]
    public void DataDirectory_InUse_IsReportedAndReadOnly()
    {
        Write("a.yaml", Policy("a", "10.0.0.1"));
        Start();
        using var other = OpenedData.Open(Data);
        Write("a.yaml", "kind: [");
        using var data = DataDirectory.Open(Data);
        Assert.Equal(["10.0.0.1"], RulesOf(Source(data, Policies).Load(default)));
        Assert.Contains($"is in use by another process (pid {Environment.ProcessId})", Assert.Single(_log.Said).Text, StringComparison.Ordinal);
    }

    public void Dispose() => _root.Delete(recursive: true);

    private void Damage(string damage)
    {
        File.WriteAllText(Path.Combine(_root.FullName, "outside"), "outside");
        var content = File.ReadAllBytes(Kept);
        switch (damage)
        {
            case "other version":
                File.WriteAllText(Kept, File.ReadAllText(Kept).Replace("keepalive-agent-policies 1 ", "keepalive-agent-policies 2 ", StringComparison.Ordinal));
                break;
            case "flipped bit":
                content[^20] ^= 1;
                File.WriteAllBytes(Kept, content);
                break;
            case "cut":
                File.WriteAllBytes(Kept, content[..^5]);
                break;
            case "empty":
                File.WriteAllBytes(Kept, []);
                break;
            case "symbolic link":
                File.Delete(Kept);
                File.CreateSymbolicLink(Kept, Path.Combine(_root.FullName, "outside"));
                break;
            case "fifo":
                File.Delete(Kept);
                Command.Run("mkfifo", Kept);
                break;
            case "of others":
                Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root can give a file away");
                Command.Run("chown", "65534", Kept);
                break;
            default:
                using (var file = File.OpenWrite(Kept))
                {
                    file.SetLength(64 * 1024 * 1024);
                }
                break;
        }
    }

    /// <summary>Replaces a ConfigMap's content as the kubelet does: a new directory, and a link that is renamed over the old one.</summary>
    private void Swap(int version, string text)
    {
        var directory = Directory.CreateDirectory(Path.Combine(Policies, $"..2026_11_23_{version}"));
        File.WriteAllText(Path.Combine(directory.FullName, "policy.yaml"), text);
        var next = Path.Combine(Policies, "..data_tmp");
        File.CreateSymbolicLink(next, directory.Name);
        Command.Run("mv", "-T", next, Path.Combine(Policies, "..data"));
    }

    /// <summary>Starts an agent's policies from the beginning.</summary>
    private PolicyLoad Start()
    {
        using var data = OpenedData.Open(Data);
        return Source(data, Policies).Load(default);
    }

    private PolicySource Source(DataDirectory data, params string[] paths) => new(
        new PolicyOptions { Paths = paths, Side = Side.Client, Existing = ExistingMode.Tighten },
        new HostResolver((_, _) => throw new SocketException((int)SocketError.HostNotFound)),
        cluster: null,
        _clock,
        new LastGoodFiles(data, _clock, _log));

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(Policies, name), text);

    private static string Policy(string name, string addresses) => PolicyText.For(addresses, "time: 60s")
        .Replace("name: tcp-keepalive", $"name: {name}", StringComparison.Ordinal)
        .Replace("name: ratings", $"name: {name}", StringComparison.Ordinal)
        .Replace("selector: {}", $"selector: {{ name: {name} }}", StringComparison.Ordinal);

    private static IEnumerable<string> RulesOf(PolicyLoad? load) => load!.Snapshot!.Policy.Rules.Select(rule => rule.Prefix.ToString()).Order();
}
