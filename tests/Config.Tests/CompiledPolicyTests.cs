using System.Collections.Immutable;
using System.Diagnostics;
using System.Net;
using FsCheck;
using FsCheck.Fluent;
using Keepalive.Config.Compilation;
using Keepalive.Config.Resources;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Config.Tests;

[Collection(nameof(TimedTests))]
public sealed class CompiledPolicyTests(ITestOutputHelper output)
{
    private static readonly Endpoint s_nowhere = Endpoint.From(IPEndPoint.Parse("192.0.2.255:9"));

    [Fact]
    public void Match_Empty_IsNull() => Assert.Null(CompiledPolicy.Empty.Match(s_nowhere, s_nowhere));

    [Theory]
    [InlineData("10.0.0.1:443", "10.0.0.0/8:443")]
    [InlineData("10.1.2.3:443", "10.0.0.0/8:443")]
    [InlineData("10.1.2.3:80", "10.1.0.0/16")]
    [InlineData("10.2.0.1:80", "0.0.0.0/0")]
    [InlineData("[::ffff:10.1.2.3]:80", "10.1.0.0/16")]
    [InlineData("[2001:db8::5]:80", "::/0")]
    [InlineData("[2001:db8::1]:80", "2001:db8::1")]
    public void Match_SeveralRules_ExactPortThenLongerPrefix(string remote, string expected)
    {
        var policy = Policy(Side.Client, "10.0.0.0/8:443", "10.1.0.0/16", "0.0.0.0/0", "::/0", "2001:db8::1");
        Assert.Equal(expected, policy.Match(s_nowhere, Endpoint.From(IPEndPoint.Parse(remote)))!.Policy);
    }

    [Fact]
    public void Match_LocalEnd_OnlyCountsForBothSides()
    {
        var listener = Endpoint.From(IPEndPoint.Parse("10.0.0.1:443"));
        Assert.Null(Policy(Side.Client, "10.0.0.1:443").Match(listener, s_nowhere));
        Assert.NotNull(Policy(Side.Both, "10.0.0.1:443").Match(listener, s_nowhere));
        Assert.Equal("192.0.2.0/24", Policy(Side.Both, "10.0.0.1:443", "192.0.2.0/24").Match(listener, s_nowhere)!.Policy);
    }

    /// <summary>The fallback comes after every rule, whatever the prefix and whichever end the rule is about.</summary>
    [Theory]
    [InlineData(Side.Client, "10.0.0.1:443", "198.51.100.1:80", "command-line/keepalive 0.0.0.0/0")]
    [InlineData(Side.Client, "10.0.0.1:443", "[2001:db8::1]:80", "command-line/keepalive ::/0")]
    [InlineData(Side.Client, "10.0.0.1:443", "192.0.2.7:80", "192.0.2.0/24 192.0.2.0/24")]
    [InlineData(Side.Both, "10.0.0.1:443", "198.51.100.1:80", "10.0.0.1:443 10.0.0.1")]
    [InlineData(Side.Both, "10.0.0.1:444", "198.51.100.1:80", "command-line/keepalive 0.0.0.0/0")]
    [InlineData(Side.Client, "10.0.0.9:40000", "10.0.0.9:443", null)]
    [InlineData(Side.Client, "127.0.0.1:40000", "127.0.0.1:443", null)]
    [InlineData(Side.Client, "10.0.0.1:443", "127.0.0.6:33000", null)]
    [InlineData(Side.Client, "[::1]:40000", "[::1]:443", null)]
    public void Match_Fallback_IsForWhatNoOtherRuleSelectsAndLeavesTheHost(Side side, string local, string remote, string? expected)
    {
        var policy = Policy(side, "10.0.0.1:443", "192.0.2.0/24").WithFallback(new KeepaliveSettings(240, 20, 4), "--keepalive 240s/20s/4");
        var (from, to) = (Endpoint.From(IPEndPoint.Parse(local)), Endpoint.From(IPEndPoint.Parse(remote)));
        var rule = policy.Match(from, to);
        Assert.Equal(expected, rule is null ? null : $"{rule.Policy} {rule.Prefix}");
        Assert.Equal(rule?.IsFallback ?? false, expected?.StartsWith("command-line", StringComparison.Ordinal) ?? false);
        Assert.Equal(4, policy.AllRules.Length);
        Assert.Same(policy, policy.WithFallback(null, ""));
    }

    /// <summary>A rule for every address is of a file and comes first.</summary>
    [Fact]
    public void Match_RuleForEveryAddress_ComesBeforeTheFallback()
    {
        var policy = Policy(Side.Client, "0.0.0.0/0").WithFallback(new KeepaliveSettings(240, 20, 4), "--keepalive 240s/20s/4");
        var remote = Endpoint.From(IPEndPoint.Parse("198.51.100.1:80"));
        Assert.Equal("0.0.0.0/0", policy.Match(s_nowhere, remote)!.Policy);
        var lost = Assert.Single(Explanation.Of(policy, s_nowhere, remote).Losers);
        Assert.Equal(("command-line/keepalive", "it is for connections that no other rule selects"), (lost.Rule.Policy, lost.Reason));
    }

    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Match_RandomRulesAndEndpoints_AgreesWithALinearSearch()
    {
        // Only a few bits vary, so that prefixes nest and contain the addresses.
        var bytes = Gen.Elements<byte>(0, 1, 2, 127, 128, 255);
        var address4 = bytes.ArrayOf(4).Select(value => new IPAddress(value));
        var address6 = bytes.ArrayOf(16).Select(value => new IPAddress(value));
        var mapped = address4.Select(value => value.MapToIPv6());
        var address = Gen.OneOf(address4, address6, mapped);
        var port = Gen.Elements<ushort>(0, 1, 63, 64, 443, 65535);
        var rule = from start in address
                   from length in Gen.Choose(0, 128)
                   from rulePort in port
                   select (Text: $"{start}/{(start.GetAddressBytes().Length == 4 ? length % 33 : length)}", Port: rulePort);
        var gen = from rules in rule.ListOf().Resize(40)
                  from side in Gen.Elements(Side.Client, Side.Both)
                  from ends in Gen.Two(from end in address from endPort in port select Endpoint.From(end, endPort)).ListOf(20)
                  select (rules, side, ends);
        Prop.ForAll(gen.ToArbitrary(), test =>
        {
            ImmutableArray<CompiledRule> rules =
            [
                .. test.rules.Select(entry => Rule(IpPrefix.Parse(entry.Text), entry.Port)).DistinctBy(entry => (entry.Prefix, entry.Port)),
            ];
            var policy = new CompiledPolicy(rules, [], test.side);
            return test.ends.All(pair =>
            {
                var (local, remote) = (pair.Item1, pair.Item2);
                var expected = Naive(rules, remote) ?? (test.side == Side.Both ? Naive(rules, local) : null);
                return ReferenceEquals(expected, policy.Match(local, remote));
            });
        }).Check(Fuzz.Property(2_000));
    }

    [Fact]
    public void Match_SixtyThousandSockets_AllocatesNothing()
    {
        var policy = Policy(Side.Client, "203.0.113.10:15443", "203.0.113.11:15443", "198.51.100.0/24", "10.0.0.0/8", "2001:db8::/32");
        var remotes = Enumerable.Range(0, 60_000)
            .Select(i => Endpoint.From(new IPAddress([203, 0, (byte)(112 + i % 3), (byte)i]),
                (ushort)(i % 2 == 0 ? 15443 : 1024 + i % 60_000))).ToArray();
        Count(policy, remotes);
        Assert.Equal(0, Allocation.Of(() => Count(policy, remotes)));
    }

    [Fact]
    public void Match_FiftyThousandRules_IsFasterThanALinearSearch()
    {
        var policy = new CompiledPolicy(
            [.. Enumerable.Range(0, 50_000).Select(i => Rule(IpPrefix.From(new IPAddress([10, 0, (byte)(i >> 8), (byte)i])), 443))], [],
                Side.Client);
        var remotes = Enumerable.Range(0, 60_000)
            .Select(i => Endpoint.From(new IPAddress([10, 0, (byte)(i >> 8), (byte)i]), 443)).ToArray();
        var start = Stopwatch.GetTimestamp();
        Assert.Equal(50_000, Count(policy, remotes));
        var elapsed = Stopwatch.GetElapsedTime(start);
        output.WriteLine($"{elapsed.TotalNanoseconds / remotes.Length:F1} ns a match");

        // A look at every rule would be 3,000,000,000 comparisons.
        Assert.InRange(elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(1));
    }

    private static int Count(CompiledPolicy policy, Endpoint[] remotes)
    {
        var matched = 0;
        foreach (ref readonly var remote in remotes.AsSpan())
        {
            matched += policy.Match(s_nowhere, remote) is null ? 0 : 1;
        }

        return matched;
    }

    /// <summary>A match written with bytes of addresses in place of integer masks.</summary>
    private static CompiledRule? Naive(ImmutableArray<CompiledRule> rules, Endpoint end)
    {
        var bytes = end.ToIPEndPoint().Address.GetAddressBytes();
        return rules.Where(rule => rule.Port == 0 || rule.Port == end.Port).Where(rule =>
        {
            var start = IPAddress.Parse(rule.Prefix.ToString().Split('/')[0]).GetAddressBytes();
            return start.Length == bytes.Length && Enumerable.Range(0, rule.Prefix.Length)
                .All(bit => ((start[bit / 8] ^ bytes[bit / 8]) & (128 >> (bit % 8))) == 0);
        }).OrderByDescending(rule => rule.Port != 0).ThenByDescending(rule => rule.Prefix.Length).FirstOrDefault();
    }

    private static CompiledPolicy Policy(Side side, params string[] rules) => new(
        [
            .. rules.Select(text => AddressList.TryParseEntry(text, out var prefix, out var port, out _)
                ? Rule(prefix, port) with { Policy = text }
                : throw new FormatException(text)),
        ], [], side);

    private static CompiledRule Rule(IpPrefix prefix, ushort port) => new()
    {
        Policy = "p",
        Destination = "d",
        Settings = new KeepaliveSettings(60, null, null),
        Prefix = prefix,
        Port = port,
        Position = new SourcePosition("x", 1, 1),
    };
}
