using System.Text;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>The licences of the eBPF programs, in their sources and in the object that the kernel loads.</summary>
public sealed class BpfLicenceTests
{
    private static string Sources => Path.Combine(Repository.Root, "src", "Agent", "Bpf");

    [Fact]
    public void Sources_EachOfThem_NameBothLicences()
    {
        string[] files = [.. Directory.EnumerateFiles(Sources).Where(file => Path.GetExtension(file) is ".c" or ".h")];
        Assert.NotEmpty(files);
        Assert.All(files, file => Assert.Equal("// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause", File.ReadLines(file).First()));
        Assert.All(["LICENSE.GPL-2.0", "LICENSE.BSD-2-Clause"], name => Assert.True(File.Exists(Path.Combine(Sources, name)), name));
    }

    [Fact]
    public void Object_BuiltAndCommitted_NamesBothLicences()
    {
        using var built = new MemoryStream();
        using (var resource = typeof(KernelPrograms).Assembly.GetManifestResourceStream("keepalive.bpf.o")!)
        {
            resource.CopyTo(built);
        }
        foreach (var image in new[] { built.ToArray(), File.ReadAllBytes(Path.Combine(Sources, "keepalive.bpf.o")) })
        {
            Assert.True(image.AsSpan().IndexOf(Encoding.ASCII.GetBytes("Dual BSD/GPL\0")) >= 0);
            Assert.True(image.AsSpan().IndexOf("\0GPL\0"u8) < 0);
        }
    }
}
