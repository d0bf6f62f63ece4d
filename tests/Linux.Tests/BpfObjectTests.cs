using Keepalive.Linux.Bpf;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Linux.Tests;

/// <summary>The errors for programs that cannot be loaded.</summary>
public sealed class BpfObjectTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-bpf");

    [Fact]
    public void Load_VerifierRejects_ErrorHasItsMessage()
    {
        var e = Assert.Throws<BpfException>(() => BpfObject.Load(Compile("return ops->sk->family;"), ["test"], [], []));
        Assert.Equal(Errno.EACCES, e.Errno);
        Assert.Contains("sock_or_null", e.Detail, StringComparison.Ordinal);
        Assert.StartsWith("loading the BPF programs: EACCES (Permission denied); ", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', e.Message);
    }

    [Fact]
    public void Load_NotAnObject_IsReported()
    {
        Live.Require();
        var e = Assert.Throws<BpfException>(() => BpfObject.Load([1, 2, 3, 4], ["test"], [], []));
        Assert.StartsWith("opening the BPF object: ", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_ValidProgram_StaysUntilDisposedAndLeaksNoDescriptor()
    {
        var image = Compile("return 1;");
        BpfObject.Load(image, ["test"], [], []).Dispose();
        int before = BpfDescriptors();
        for (int i = 0; i < 10; i++)
        {
            BpfObject.Load(image, ["test"], [], []).Dispose();
        }
        Assert.Equal(before, BpfDescriptors());
    }

    [Fact]
    public void TicksPerSecond_OfThisKernel_IsAValidHz() => Assert.Contains(KernelClock.TicksPerSecond(), new uint[] { 24, 48, 64, 100, 128, 250, 256, 300, 1000, 1024, 1200 });

    public void Dispose() => _directory.Delete(recursive: true);

    /// <summary>Only programs, maps, links and type information: other tests open and close other descriptors at the same time.</summary>
    private static int BpfDescriptors() => Directory.GetFileSystemEntries("/proc/self/fd")
        .Count(path => new FileInfo(path).LinkTarget is { } target && (target.StartsWith("anon_inode:bpf", StringComparison.Ordinal) || target == "anon_inode:btf"));

    private byte[] Compile(string body)
    {
        Live.Require("clang");
        string source = Path.Combine(_directory.FullName, "test.bpf.c"), output = Path.Combine(_directory.FullName, "test.bpf.o");
        File.WriteAllText(source, $$"""
            #include <linux/bpf.h>
            #include <bpf/bpf_helpers.h>
            char LICENSE[] SEC("license") = "GPL";
            SEC("sockops") int test(struct bpf_sock_ops *ops) { {{body}} }
            """);
        var machine = Command.Run("uname", "-m").Output.Trim();
        Command.Run("clang", "-target", "bpf", "-O2", "-g", "-idirafter", $"/usr/include/{machine}-linux-gnu", "-c", source, "-o", output);
        return File.ReadAllBytes(output);
    }
}
