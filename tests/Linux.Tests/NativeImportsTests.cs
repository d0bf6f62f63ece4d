using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Runtime.InteropServices;
using Keepalive.Linux.Capture;
using Keepalive.Testbed;
using SharpPcap.LibPcap;
using Xunit;

namespace Keepalive.Linux.Tests;

/// <summary>The functions that SharpPcap imports, and the ones that the programs link statically.</summary>
public sealed class NativeImportsTests
{
    /// <summary>In libpcap since 1.10; SharpPcap calls it only on Windows.</summary>
    private const string OnWindows = "pcap_init";

    /// <summary>The first call of a function outside the list searches a shared library, which the one-file programs do not have.</summary>
    [Fact]
    public void SharpPcap_ImportsThatLibpcapHas_AreTheListOfTheLinker()
    {
        var libpcap = NativeLibrary.Load("libpcap.so.0.8");
        var expected = Imports().Where(name => name != OnWindows && NativeLibrary.TryGetExport(libpcap, name, out _)).Select(name => $"wpcap!{name}");

        Assert.Equal(expected.Order(StringComparer.Ordinal), File.ReadAllLines(Path.Combine(Repository.Root, "src", "Native", "sharppcap.txt")));
    }

    /// <summary>PacketDotNet never parses network input: it allocates without limit on mutated frames.</summary>
    [Fact]
    public void PacketDotNet_InTheProduct_IsOneEnumeration()
    {
        using var file = new PEReader(File.OpenRead(typeof(PcapCapture).Assembly.Location));
        var metadata = file.GetMetadataReader();
        var known = metadata.TypeReferences.Select(metadata.GetTypeReference)
            .Where(type => type.ResolutionScope.Kind == HandleKind.AssemblyReference
                && metadata.GetString(metadata.GetAssemblyReference((AssemblyReferenceHandle)type.ResolutionScope).Name) == "PacketDotNet")
            .Select(type => metadata.GetString(type.Name));

        Assert.Equal(["LinkLayers"], known);
    }

    private static IReadOnlyCollection<string> Imports()
    {
        using var file = new PEReader(File.OpenRead(typeof(LibPcapLiveDevice).Assembly.Location));
        var metadata = file.GetMetadataReader();
        return [.. metadata.MethodDefinitions.Select(handle => metadata.GetMethodDefinition(handle).GetImport())
            .Where(import => !import.Module.IsNil && metadata.GetString(metadata.GetModuleReference(import.Module).Name) == "wpcap")
            .Select(import => metadata.GetString(import.Name)).Distinct()];
    }
}
