using Keepalive.Agent.Apply.Bpf;
using Keepalive.Linux;
using Keepalive.Linux.Bpf;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>The reasons reported for a kernel that refuses the programs.</summary>
public sealed class LoadFailureTests
{
    private const string Loading = "loading the BPF programs";
    private const string Moved =
        "failed to resolve CO-RE relocation <byte_off> [77] struct inet_connection_sock.icsk_retransmit_timer.expires (0:1:1 @ offset 128)";
    private const string Verifier = "R1 type=sock_or_null expected=fp";

    [Theory]
    [InlineData("5.10.0-46-amd64", "unknown func bpf_get_socket_cookie#46")]
    [InlineData("5.14.0-570.el9.x86_64", Moved)]
    public void Of_OldKernel_NamesTheFirstReleaseWithTheFeature(string release, string detail)
    {
        var failure = LoadFailure.Of(new BpfException(Loading, 22, detail), release);
        Assert.Equal("Linux 5.15", failure?.Needs);
        Assert.Equal($"it needs Linux 5.15, and this is Linux {release} (loading the BPF programs: EINVAL (Invalid argument); {detail})", failure?.Reason);
    }

    [Theory]
    [InlineData("5.15.0-100-generic")]
    [InlineData("7.3.4+deb13-amd64")]
    [InlineData("something else")]
    public void Of_FieldUnknown_IsThatTheStructuresAreUnknown(string release)
    {
        var unknown = $"this build does not know the structures of Linux {release}: struct inet_connection_sock.icsk_retransmit_timer.expires was not found";
        Assert.Equal(
            new LoadFailure("a newer keepalive-agent", unknown, $"{unknown}; use a newer keepalive-agent"),
            LoadFailure.Of(new BpfException(Loading, 22, Moved), release));
    }

    [Fact]
    public void Of_VerifierRefusesOnNewKernel_NeedsANewerAgentAndNoOlderKernel() => Assert.Equal(
        new LoadFailure(
            "a newer keepalive-agent",
            $"loading the BPF programs: EACCES (Permission denied); {Verifier}",
            $"Linux 6.1.0 refuses the programs of this build (loading the BPF programs: EACCES (Permission denied); {Verifier}); use a newer keepalive-agent"),
        LoadFailure.Of(new BpfException(Loading, Errno.EACCES, Verifier), "6.1.0"));

    [Theory]
    [InlineData(Errno.EPERM, "")]
    [InlineData(Errno.EACCES, "")]
    [InlineData(Errno.ENOMEM, "libbpf: map 'arrivals': failed to create: Cannot allocate memory(-12)")]
    public void Of_AnotherRefusal_DoesNotBlameTheKernelsAge(int errno, string detail) =>
        Assert.Null(LoadFailure.Of(new BpfException(Loading, errno, detail), "5.10.0"));
}
