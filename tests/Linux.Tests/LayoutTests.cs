using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Interop;
using Keepalive.Linux.Sockets;
using Xunit;

namespace Keepalive.Linux.Tests;

/// <summary>The C compiler checks every constant and every struct of the raw import files against the system's headers.</summary>
public sealed class LayoutTests
{
    /// <summary>Import class, headers, and the C name of each of its structs. A star means that the C struct has more fields than the
    /// mirror.</summary>
    public static TheoryData<string, string, string> Imports => new()
    {
        {
            nameof(SysSocket), "sys/socket.h sys/uio.h sys/time.h netinet/in.h netinet/tcp.h",
            "timeval=struct timeval iovec=struct iovec msghdr=struct msghdr mmsghdr=struct mmsghdr"
        },
        { nameof(Dirent), "dirent.h", "" },
        { nameof(SysMman), "sys/mman.h", "" },
        { nameof(SysMount), "sys/mount.h", "" },
        { nameof(NetIf), "net/if.h", "ifreq=struct ifreq" },
        {
            nameof(LinuxEthtool), "linux/ethtool.h linux/sockios.h",
            "ethtool_sset_info=struct ethtool_sset_info ethtool_gstrings=struct ethtool_gstrings ethtool_sfeatures=struct ethtool_sfeatures "
            + "ethtool_set_features_block=struct ethtool_set_features_block"
        },
        {
            nameof(LinuxIfPacket), "linux/if_packet.h linux/if_ether.h",
            "sockaddr_ll=struct sockaddr_ll tpacket_req=struct tpacket_req tpacket2_hdr=struct tpacket2_hdr tpacket_stats=struct tpacket_stats"
        },
        { nameof(Unistd), "unistd.h fcntl.h sys/file.h", "" },
        { nameof(Sched), "sched.h", "" },
        { nameof(LinuxKcmp), "linux/kcmp.h", "" },
        { nameof(SysPidfd), "sys/syscall.h unistd.h", "" },
        { nameof(SysStat), "sys/stat.h fcntl.h", "statx_t=struct statx statx_timestamp_t=struct statx_timestamp" },
        { nameof(Signal), "signal.h", "" },
        { nameof(SysResource), "sys/resource.h", "rlimit_t=struct rlimit" },
        { nameof(SysVfs), "sys/vfs.h linux/magic.h", "statfs_t=struct statfs" },
        { nameof(LinuxCapability), "linux/capability.h", "cap_user_header=struct __user_cap_header_struct cap_user_data=struct __user_cap_data_struct" },
        { nameof(LinuxNetlink), "sys/socket.h linux/netlink.h", "sockaddr_nl=struct sockaddr_nl nlmsghdr=struct nlmsghdr nlattr=struct nlattr" },
        {
            nameof(LinuxInetDiag), "linux/inet_diag.h linux/sock_diag.h linux/tcp.h",
            "inet_diag_sockid=struct inet_diag_sockid inet_diag_req=struct inet_diag_req inet_diag_msg=struct inet_diag_msg tcp_info=struct tcp_info*"
        },
        { nameof(Errno), "errno.h", "" },
        {
            nameof(Pcap), "pcap/pcap.h",
            "timeval=struct timeval pcap_pkthdr=struct pcap_pkthdr pcap_stat=struct pcap_stat bpf_program=struct bpf_program"
        },
        { nameof(LinuxFilter), "linux/filter.h linux/if_packet.h", "sock_filter=struct sock_filter sock_fprog=struct sock_fprog" },
        { nameof(SysPoll), "poll.h", "pollfd=struct pollfd" },
        { nameof(SysEpoll), "sys/epoll.h", "" },
        { nameof(SysEventfd), "sys/eventfd.h", "" },
        { nameof(LinuxNfnetlink), "linux/netfilter/nfnetlink.h", "nfgenmsg=struct nfgenmsg" },
        { nameof(LinuxNfnetlinkConntrack), "linux/netfilter/nfnetlink_conntrack.h", "" },
        { nameof(LinuxRtnetlink), "linux/rtnetlink.h", "rtmsg=struct rtmsg rtnexthop=struct rtnexthop" },
        { nameof(Time), "time.h", "timespec=struct timespec" },
        { nameof(Stdio), "stdio.h", "" },
        { nameof(Malloc), "malloc.h", "" },
        { nameof(SysIoctl), "sys/ioctl.h linux/sockios.h linux/nsfs.h", "" },
        { nameof(LinuxBpf), "linux/bpf.h", "bpf_prog_info=struct bpf_prog_info* bpf_map_info=struct bpf_map_info* bpf_link_info=struct bpf_link_info*" },
        { nameof(BpfLibbpf), "bpf/libbpf.h", "bpf_object_open_opts=struct bpf_object_open_opts" },
        { nameof(BpfBpf), "bpf/bpf.h", "bpf_map_create_opts=struct bpf_map_create_opts bpf_test_run_opts=struct bpf_test_run_opts" },
    };

    [Theory]
    [MemberData(nameof(Imports))]
    public void Import_AgainstHeaders_Agrees(string import, string headers, string structs)
    {
        var type = typeof(SysSocket).Assembly.GetTypes().Single(t => t.Name == import && t.DeclaringType is null);
        var asserts = Constants(type).Concat(Structs(type, structs)).ToList();
        Assert.True(asserts.Count > 0 || type.GetMethods(BindingFlags.Static | BindingFlags.NonPublic).Length > 0, "there is nothing in it");
        Assert.Equal("", Compile(headers, asserts));
    }

    [Fact]
    public void Imports_AllClasses_AreListed()
    {
        var classes = typeof(SysSocket).Assembly.GetTypes()
            .Where(t => t.Namespace == typeof(SysSocket).Namespace && t.DeclaringType is null && !t.Name.StartsWith('<')).Select(t => t.Name);
        Assert.Empty(classes.Except(Imports.Select(row => row.Data.Item1)));
    }

    [Fact]
    public void TcpStates_AgainstHeaders_Agree()
    {
        (TcpState State, string Name)[] states =
        [
            (TcpState.Established, "TCP_ESTABLISHED"), (TcpState.SynSent, "TCP_SYN_SENT"), (TcpState.SynReceived, "TCP_SYN_RECV"),
            (TcpState.FinWait1, "TCP_FIN_WAIT1"), (TcpState.FinWait2, "TCP_FIN_WAIT2"), (TcpState.TimeWait, "TCP_TIME_WAIT"),
            (TcpState.Close, "TCP_CLOSE"), (TcpState.CloseWait, "TCP_CLOSE_WAIT"), (TcpState.LastAck, "TCP_LAST_ACK"),
            (TcpState.Listen, "TCP_LISTEN"), (TcpState.Closing, "TCP_CLOSING"),
        ];
        Assert.Equal("", Compile("netinet/tcp.h", states.Select(s => $"{s.Name} == {(int)s.State}")));
    }

    [Fact]
    public void EpollEvent_AgainstHeaders_HasTheSizeItIsReadBy()
    {
        var size = Files.Epoll.EventSize;
        Assert.Equal("", Compile("sys/epoll.h",
            [$"sizeof(struct epoll_event) == {size}", $"offsetof(struct epoll_event, data) == {size - 8}", "sizeof(((struct epoll_event *)0)->events) == 4"]));
    }

    [Fact]
    public void NoFollow_AgainstHeaders_Agrees() => Assert.Equal("", Compile("fcntl.h", [$"O_NOFOLLOW == {Unistd.O_NOFOLLOW}"]));

    [Fact]
    public void Compile_WrongAssertion_IsReported()
    {
        Assert.Contains("SO_COOKIE == 58", Compile("sys/socket.h", ["SO_COOKIE == 58"]), StringComparison.Ordinal);
    }

    private static IEnumerable<string> Constants(Type type) =>
        from field in type.GetFields(BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public)
        where field.IsLiteral
        select $"{field.Name} == {Convert.ToInt64(field.GetRawConstantValue(), System.Globalization.CultureInfo.InvariantCulture)}";

    private static IEnumerable<string> Structs(Type type, string structs)
    {
        var names = System.Text.RegularExpressions.Regex.Matches(structs, @"(\w+)=(struct \w+)(\*?)").ToDictionary(m => m.Groups[1].Value);
        foreach (var mirror in type.GetNestedTypes(BindingFlags.NonPublic).Where(t => t.IsValueType && !t.IsDefined(typeof(InlineArrayAttribute))))
        {
            var name = names[mirror.Name].Groups[2].Value;
            var size = Marshal.SizeOf(mirror);
            yield return names[mirror.Name].Groups[3].Length > 0 ? $"sizeof({name}) >= {size}" : $"sizeof({name}) == {size}";
            foreach (var field in mirror.GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public))
            {
                yield return $"offsetof({name}, {field.Name}) == {Marshal.OffsetOf(mirror, field.Name)}";
                yield return $"sizeof((({name} *)0)->{field.Name}) == {Marshal.SizeOf(field.FieldType)}";
            }
        }
    }

    /// <summary>The compiler's errors; empty when every assertion holds.</summary>
    private static string Compile(string headers, IEnumerable<string> assertions)
    {
        var source = new StringBuilder("#define _GNU_SOURCE\n#include <stddef.h>\n");
        foreach (var header in headers.Split(' '))
        {
            source.Append($"#include <{header}>\n");
        }
        foreach (var assertion in assertions)
        {
            source.Append($"_Static_assert({assertion}, \"{assertion}\");\n");
        }
        var directory = Directory.CreateTempSubdirectory("keepalive-layout");
        try
        {
            var file = Path.Combine(directory.FullName, "layout.c");
            File.WriteAllText(file, source.ToString());
            var start = new System.Diagnostics.ProcessStartInfo("cc", ["-std=c11", "-fsyntax-only", file]) { RedirectStandardError = true };
            using var compiler = System.Diagnostics.Process.Start(start)!;
            var text = compiler.StandardError.ReadToEnd();
            Assert.True(compiler.WaitForExit(30_000), "cc hangs");
            return compiler.ExitCode == 0 ? "" : text;
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }
}
