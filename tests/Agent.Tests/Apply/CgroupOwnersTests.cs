using Keepalive.Agent.Workloads;
using Keepalive.Linux.Processes;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>The owners of cgroups by their ids, in the hierarchy of this machine.</summary>
public sealed class CgroupOwnersTests : IDisposable
{
    private readonly TestClock _clock = new();
    private readonly TestCgroup _cgroup;
    private readonly CgroupOwners _owners;

    public CgroupOwnersTests()
    {
        Live.Require();
        _cgroup = new TestCgroup(".service");
        _owners = new CgroupOwners(_clock, TestCgroup.Root, isAlone: true);
    }

    [Fact]
    public void Find_UnitAndWhatIsBelowIt_IsTheUnit()
    {
        var below = Directory.CreateDirectory(Path.Combine(_cgroup.Path, "a.scope", "kubepods", "pod1")).FullName;
        Assert.Equal(new CgroupOwner(CgroupKind.Unit, _cgroup.Name), _owners.Find(ProcFs.Inode(_cgroup.Path)));
        Assert.Equal(new CgroupOwner(CgroupKind.Unit, _cgroup.Name), _owners.Find(ProcFs.Inode(below)));
        Assert.Equal(CgroupOwner.Nobody, _owners.Find(ProcFs.Inode(TestCgroup.Root!)));
        Remove("a.scope/kubepods/pod1", "a.scope/kubepods", "a.scope");
    }

    [Fact]
    public void Find_CgroupMadeAfterAWalk_IsKnownAfterTheNext()
    {
        Assert.NotNull(_owners.Find(ProcFs.Inode(_cgroup.Path)));
        var id = ProcFs.Inode(Directory.CreateDirectory(Path.Combine(_cgroup.Path, "late")).FullName);
        Assert.Null(_owners.Find(id));
        _clock.Advance(TimeSpan.FromMinutes(1));
        Assert.NotNull(_owners.Find(id));
        Remove("late");
        Assert.NotNull(_owners.Find(id));   // until the next walk
        _clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(_owners.Find(ulong.MaxValue));
        Assert.Null(_owners.Find(id));
    }

    [Fact]
    public void Find_MoreCgroupsThanAnOwnerMayHave_TheOthersAreUnknown()
    {
        const int made = 300;
        string[] names = [.. Enumerable.Range(0, made).Select(i => $"c{i}")];
        ulong[] ids = [.. names.Select(name => ProcFs.Inode(Directory.CreateDirectory(Path.Combine(_cgroup.Path, name)).FullName))];
        Assert.Equal(256, ids.Count(id => _owners.Find(id) is not null));
        Remove(names);
    }

    [Fact]
    public void Find_CgroupThatIsGone_IsLookedForOnce()
    {
        for (var i = 0; i < 3; i++)
        {
            Assert.Null(_owners.Find(ulong.MaxValue));
            _clock.Advance(TimeSpan.FromMinutes(1));
        }
        Assert.Equal(1, _owners.Walks);
        Assert.NotNull(_owners.Find(ProcFs.Inode(_cgroup.Path)));
    }

    [Fact]
    public void Find_NoHierarchy_NothingIsKnown() => Assert.Null(new CgroupOwners(_clock, mount: null, isAlone: false).Find(1));

    public void Dispose() => _cgroup.Dispose();

    private void Remove(params string[] names)
    {
        foreach (var name in names)
        {
            Directory.Delete(Path.Combine(_cgroup.Path, name));
        }
    }
}
