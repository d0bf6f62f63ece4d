using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using Keepalive.Agent.Apply.Bpf;
using Keepalive.Agent.Policies;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

/// <summary>Compares matching in the kernel with the compiled matcher: random policies, and addresses near their edges.</summary>
[Collection(Datapaths.Kernels)]
public sealed class KernelPolicyTests
{
    private static readonly int s_policies = Fuzz.Cases(600);
    private const int Connections = 300;

    private static readonly int[] s_ports = [0, 1, 443, 5432, 65535];

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Match_RandomPoliciesAndConnections_IsTheCompiledPolicys()
    {
        var kernel = Datapaths.Kernel;
        using var policy = new KernelPolicy(kernel.Policy);
        int found = 0, missed = 0;
        for (var seed = Fuzz.Seed(0); seed < Fuzz.Seed(0) + s_policies; seed++)
        {
            var random = new Random(seed);
            var side = Side.Both;
            var snapshot = Rig.Compile(PolicyText.Guide(string.Join(", ", Enumerable.Range(0, random.Next(1, 80)).Select(_ => Address(random)).Distinct())), side);
            policy.Replace(snapshot);
            for (var i = 0; i < Connections; i++)
            {
                var (local, remote) = (Near(snapshot, random), Near(snapshot, random));
                var expected = snapshot.Policy.Match(in local, in remote);
                var seen = Ask(kernel, in local, in remote);
                Assert.True(
                    ReferenceEquals(expected, seen is { } index ? snapshot.Policy.Rules[index] : null),
                    $"seed {seed}: {local} → {remote}: expected {expected}, the kernel says rule {seen}");
                _ = expected is null ? missed++ : found++;
            }
        }
        Assert.True(found > 1000 && missed > 1000, $"{found} found, {missed} not");
    }

    private static int? Ask(KernelPrograms kernel, in Endpoint local, in Endpoint remote)
    {
        var test = new BpfAbi.ka_match_test { local_port = local.Port, remote_port = remote.Port };
        BinaryPrimitives.WriteUInt128BigEndian(test.local, local.Address);
        BinaryPrimitives.WriteUInt128BigEndian(test.remote, remote.Address);
        kernel.RunMatch(MemoryMarshal.AsBytes(new Span<BpfAbi.ka_match_test>(ref test)));
        return test.found != 0 ? (int)test.rule.rule : null;
    }

    /// <summary>Only a few bits vary, so that prefixes nest.</summary>
    private static string Address(Random random)
    {
        var port = s_ports[random.Next(s_ports.Length)];
        if (random.Next(2) == 0)
        {
            var length = random.Next(33);
            var bits = (0x0A000000u | (uint)random.Next(4) << 22 | (uint)random.Next(4) << 7 | (uint)random.Next(4)) & (length == 0 ? 0 : uint.MaxValue << (32 - length));
            var address = new IPAddress(BinaryPrimitives.ReverseEndianness(bits));
            return string.Create(CultureInfo.InvariantCulture, $"{address}/{length}{(port == 0 ? "" : $":{port}")}");
        }
        else
        {
            var length = random.Next(129);
            var bits = (((UInt128)0x20010db8 << 96) | ((UInt128)random.Next(4) << 62) | (UInt128)random.Next(4)) & (length == 0 ? 0 : UInt128.MaxValue << (128 - length));
            var bytes = new byte[16];
            BinaryPrimitives.WriteUInt128BigEndian(bytes, bits);
            var text = string.Create(CultureInfo.InvariantCulture, $"{new IPAddress(bytes)}/{length}");
            return port == 0 ? text : string.Create(CultureInfo.InvariantCulture, $"[{text}]:{port}");
        }
    }

    /// <summary>An address inside of one of the rules' prefixes, at its edge, or just outside.</summary>
    private static Endpoint Near(PolicySnapshot policy, Random random)
    {
        CompiledRule rule = policy.Policy.Rules[random.Next(policy.Policy.Rules.Length)];
        var address = rule.Prefix.Address ^ (UInt128.One << random.Next(rule.Prefix.IsIPv4 ? 33 : 128));
        var port = random.Next(2) == 0 ? rule.Port : (ushort)s_ports[random.Next(s_ports.Length)];
        return new Endpoint(address, port);
    }
}
