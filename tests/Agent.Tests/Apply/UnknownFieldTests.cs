using System.Text;
using Keepalive.Agent.Apply;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Sockets;
using Keepalive.Linux.Bpf;
using Keepalive.Linux.Netlink;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Kernels with unknown structures: this kernel's types with other names for some fields.</summary>
public sealed class UnknownFieldTests : IDisposable
{
    private static readonly KeepaliveValues s_guide = new(true, 700, 10, 20);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-types");
    private readonly Lab _lab;
    private readonly TestCgroup _cgroup;
    private readonly int _port;

    public UnknownFieldTests()
    {
        Datapaths.RequireBpf();
        _cgroup = new TestCgroup();
        _lab = new Lab();
        _cgroup.Add(_lab.Client.Pid);
        _port = _lab.Server.Listen();
    }

    /// <summary>Optional fields, the columns that need them, and whether the time left of a retransmission timer needs them, too.</summary>
    public static TheoryData<string[], string, bool> Dispensable => new()
    {
        { ["icsk_pending"], "timers, the times left of timers", true },
        { ["sk_timer", "icsk_keepalive_timer"], "timers, the times left of timers", false },
        { ["icsk_timeout", "icsk_retransmit_timer", "tcp_retransmit_timer"], "the times left of timers", true },
        { ["icsk_retransmits"], "", false },
        { ["lrcvtime"], "idle times", false },
        { ["rcv_tstamp"], "idle times", false },
        { ["icsk_user_timeout"], "user timeouts", false },
        { ["is_mptcp"], "", false },
        { ["sk_cgrp_data"], "cgroups", false },
        { ["sk_uid"], "users", false },
        { ["thread_pid"], "processes", false },
    };

    /// <summary>Required fields: without one no socket can be judged or set.</summary>
    public static TheoryData<string> Indispensable => ["keepalive_time", "sysctl_tcp_keepalive_probes", "skc_v6_daddr", "icsk_probes_out", "sk_kern_sock", "inum"];

    [Theory]
    [MemberData(nameof(Dispensable))]
    public void Load_OptionalFieldUnknown_OnlyItsColumnIsMissing(string[] fields, string unknown, bool retransmission)
    {
        using var kernel = KernelPrograms.Load(types: TypesWithout(fields));
        using var rig = new Rig(
            _lab.Client.NetnsPath,
            (only, known, state) => new BpfDatapath(Datapaths.Options(only, known, state), kernel, _cgroup.Path));
        var before = _lab.Client.Connect(Lab.ServerAddress, _port);
        var retransmits = _lab.Client.Connect(Lab.ServerAddress6, _port);
        _lab.BlackHole(Lab.ServerAddress6);
        _lab.Client.Send(retransmits, 1);
        rig.Policy = Rig.PolicyFor(Lab.ServerAddress, PolicyText.GuideValues);
        rig.Pass();
        var after = _lab.Client.Connect(Lab.ServerAddress, _port);
        Assert.Equal((s_guide, s_guide), (_lab.Client.Get(before), _lab.Client.Get(after)));

        var summary = rig.Pass(new PassScope { Full = true });
        var record = rig.Records[_lab.Client.Cookie(before)];
        Assert.Equal(SocketOutcome.Managed, record.Outcome);
        Assert.Equal(unknown.StartsWith("timers", StringComparison.Ordinal) ? TcpTimer.Unknown : TcpTimer.Keepalive, record.Timer);
        Assert.Equal(unknown.Contains("idle", StringComparison.Ordinal), record.Idle is null);
        Assert.Equal(unknown.StartsWith("timers", StringComparison.Ordinal), record.TimerExpires is null);
        Assert.Equal(unknown.Contains("processes", StringComparison.Ordinal) ? 0 : _lab.Client.Pid, record.Pid);
        Assert.Equal(retransmission, rig.Records[_lab.Client.Cookie(retransmits)].TimerExpires is null);
        if (unknown.Length == 0)
        {
            Assert.Null(summary.Trouble);
        }
        else
        {
            Assert.StartsWith($"Unknown here: {unknown}. This build does not know where Linux ", summary.Trouble, StringComparison.Ordinal);
        }
    }

    [Theory]
    [MemberData(nameof(Indispensable))]
    public void Load_RequiredFieldUnknown_IsNamed(string field)
    {
        var e = Assert.Throws<BpfException>(() => KernelPrograms.Load(types: TypesWithout([field])));
        Assert.StartsWith("this build does not know the structures of Linux ", BpfRequirements.Explain(e), StringComparison.Ordinal);
        Assert.EndsWith($".{field} was not found; use a newer keepalive-agent", BpfRequirements.Explain(e), StringComparison.Ordinal);
    }

    public void Dispose()
    {
        _lab.Dispose();
        _cgroup.Dispose();
        _directory.Delete(recursive: true);
    }

    /// <summary>The kernel's types in a file, with these fields renamed.</summary>
    private string TypesWithout(string[] fields)
    {
        var types = File.ReadAllBytes("/sys/kernel/btf/vmlinux");
        foreach (var name in fields.Select(field => Encoding.ASCII.GetBytes($"\0{field}\0")))
        {
            for (int at; (at = types.AsSpan().IndexOf(name)) >= 0;)
            {
                types[at + 1] = (byte)'X';
            }
        }
        var path = Path.Combine(_directory.FullName, "types");
        File.WriteAllBytes(path, types);
        return path;
    }
}
