using System.Buffers;
using System.Text;
using System.Text.Json;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>The EndpointSlices of the API server, read without a tree, compared with the same text as a file.</summary>
public sealed class EndpointSliceJsonTests
{
    private const string Version = "discovery.k8s.io/v1";
    private const string Metadata = """{"name":"web-1","namespace":"shop","labels":{"kubernetes.io/service-name":"web"}}""";
    private const string Ports = """[{"name":"http","protocol":"TCP","port":8080}]""";

    public static TheoryData<string> Usual => new()
    {
        $$"""{"metadata":{{Metadata}},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1","10.0.0.2"],"conditions":{"ready":true},"nodeName":"a"},{"addresses":["10.0.0.3"]}],"ports":{{Ports}}}""",
        $$"""{"kind":"EndpointSlice","apiVersion":"{{Version}}","metadata":{{Metadata}},"addressType":"IPv6","endpoints":[{"addresses":["fd00::1"]},{"addresses":["fd00::2"]}],"ports":{{Ports}}}""",
        $$"""{"metadata":{{Metadata}},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"]}],"ports":[{"protocol":"UDP","port":53},{"name":"","port":null}]}""",
        $$"""{"metadata":{{Metadata}},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"]}],"ports":[{"name":"dns","protocol":"UDP","port":53}]}""",
        $$"""{"metadata":{{Metadata}},"addressType":"IPv4","endpoints":null,"ports":null}""",
        $$"""{"metadata":{{Metadata}},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"]}]}""",
        """{"metadata":{"managedFields":[{"manager":"x","fieldsV1":{"f:labels":{}}}],"name":"w","annotations":{"cluster.solo.io/cluster":"one","other":"x"},"labels":{"context.mesh.gloo.solo.io/cluster":"two"}},"endpoints":[]}""",
    };

    public static TheoryData<string> Unusual => new()
    {
        $$"""{"metadata":{{Metadata}},"addressType":"FQDN","endpoints":[{"addresses":["db.example.com"]}],"ports":{{Ports}}}""",
        $$"""{"metadata":{{Metadata}},"endpoints":[{"addresses":["10.0.0.1","not an address"]}],"ports":{{Ports}}}""",
        $$"""{"metadata":{{Metadata}},"endpoints":[{"addresses":["10.0.0.0/24"]}],"ports":{{Ports}}}""",
        $$"""{"metadata":{{Metadata}},"endpoints":[{"addresses":"10.0.0.1"}],"ports":{{Ports}}}""",
        $$"""{"metadata":{{Metadata}},"endpoints":[{"addresses":["10.0.0.1"]}],"ports":[{"port":70000}]}""",
        $$"""{"metadata":{{Metadata}},"endpoints":[{"addresses":["10.0.0.1"]}],"ports":[{"port":"http"}]}""",
        $$"""{"metadata":{{Metadata}},"endpoints":[{"addresses":["10.0.0.1"]}],"sinceNextYear":1}""",
        """{"metadata":{"name":"Web_1"},"endpoints":[{"addresses":["10.0.0.1"]}]}""",
        """{"metadata":{"name":"web","namespace":"a.b"},"endpoints":[{"addresses":["10.0.0.1"]}]}""",
        """{"metadata":{"name":"web","annotations":{"keepalive-agent/existing":"keep"}},"endpoints":[{"addresses":["10.0.0.1"]}]}""",
        """{"metadata":{"labels":{"a":"b"}},"endpoints":[{"addresses":["10.0.0.1"]}]}""",
        """{"metadata":{"name":"web"},"metadata":{"name":"other"},"endpoints":[{"addresses":["10.0.0.1"]}]}""",
        """{"metadata":{"name":"web","creationTimestamp":"yesterday"},"endpoints":[{"addresses":["10.0.0.1"]}]}""",
        """{"metadata":{"name":"web","labels":{"a\u0062":"c"}},"endpoints":[{"addresses":["10.0.0.1"]}]}""",
        """{"metadata":{"name":"web","labels":{"a":"\u00e4"}},"endpoints":[{"addresses":["10.0.0.1"]}]}""",
    };

    private static readonly int s_cases = Fuzz.Cases(20_000);
    private static readonly int s_seed = Fuzz.Seed(20_261_130);

    [Theory]
    [MemberData(nameof(Usual))]
    public void Slice_AsServersSendIt_IsReadAsTheFileIs(string json)
    {
        var slice = EndpointSliceJson.Read(Cut(json, 7), Version, out var fingerprint);
        Assert.NotNull(slice);
        Assert.Equal(Text(File(json)), Text(slice));
        Assert.Null(PolicyReader.ReadObject(Cut(json, 5), Version, EndpointSlice.KindName, "x", fingerprint).Read);
    }

    [Theory]
    [MemberData(nameof(Unusual))]
    public void Slice_WithSomethingElse_IsLeftToTheOtherReader(string json)
    {
        Assert.Null(EndpointSliceJson.Read(Cut(json, 7), Version, out _));
        var read = PolicyReader.ReadObject(Cut(json, 7), Version, EndpointSlice.KindName, "x", null).Read;
        Assert.NotNull(read);
        Assert.True(read.Diagnostics.Length > 0 || Assert.IsType<EndpointSlice>(Assert.Single(read.Resources.All)).Addresses.Length == 1 || json.Contains("other", StringComparison.Ordinal));
    }

    /// <summary>Slices of usual and odd parts, some of them damaged: both readers have the same result, and refuse the same.</summary>
    [Fact]
    [Trait(Fuzz.Trait, "yes")]
    public void Slice_OfAnyParts_IsReadAsThroughATree()
    {
        var random = new Random(s_seed);
        var (quick, valid, refused) = (0, 0, 0);
        for (var i = 0; i < s_cases; i++)
        {
            var json = Damage(SliceText.Make(random), random);
            var text = Cut(json, random.Next(1, 80));
            var (read, expected) = (Outcome(text, isTree: false), Outcome(text, isTree: true));
            Assert.True(expected == read, $"seed {s_seed}, case {i}: {Encoding.UTF8.GetString(json)}\nread     {read}\nexpected {expected}");
            quick += EndpointSliceJson.Read(in text, Version, out _) is null ? 0 : 1;
            valid += expected.Contains("valid True", StringComparison.Ordinal) ? 1 : 0;
            refused += expected == nameof(JsonException) ? 1 : 0;
        }

        // Each way was taken often.
        Assert.InRange(quick, s_cases / 10, valid);
        Assert.InRange(valid - quick, s_cases / 50, s_cases);
        Assert.InRange(refused, s_cases / 50, s_cases / 2);
    }

    /// <summary>What comes of a text with one of the readers.</summary>
    private static string Outcome(ReadOnlySequence<byte> json, bool isTree)
    {
        ReadResult read;
        try
        {
            read = (isTree ? PolicyReader.ReadTree(in json, Version, EndpointSlice.KindName, "x", null)
                : PolicyReader.ReadObject(in json, Version, EndpointSlice.KindName, "x", null)).Read!;
        }
        catch (JsonException)
        {
            return nameof(JsonException);
        }

        var resources = read.Resources.All.Select(static one => one is EndpointSlice slice ? $"{Text(slice.Compact())} valid {one.IsValid}" : one.ToString());
        return string.Join('\n', read.Diagnostics.Select(static one => one.ToString()).Concat(resources));
    }

    private static byte[] Damage(string text, Random random)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        if (random.Next(4) == 0)
        {
            bytes[random.Next(bytes.Length)] = "\"{}[],:\\09aT\0\u007f"u8[random.Next(14)];
        }

        if (random.Next(16) == 0)
        {
            bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
        }

        return random.Next(40) == 0 ? bytes[..random.Next(1, bytes.Length)] : bytes;
    }

    [Fact]
    public void Fingerprint_APortInPlaceOfAnAddress_Differs()
    {
        var ports = """{"metadata":{"name":"web"},"endpoints":[],"ports":[{"name":"","port":80}]}""";
        var address = """{"metadata":{"name":"web"},"endpoints":[{"addresses":["ffff:ffff:ffff:ffff::50"]}],"ports":[]}""";
        Assert.NotNull(EndpointSliceJson.Read(Cut(ports, 7), Version, out var one));
        Assert.NotNull(EndpointSliceJson.Read(Cut(address, 7), Version, out var other));
        Assert.NotEqual(one, other);
    }

    [Fact]
    public void Fingerprint_EachPartThatIsRead_ChangesIt()
    {
        var first = Usual.First().Data;
        string[] others =
        [
            first.Replace("10.0.0.2", "10.0.0.9", StringComparison.Ordinal), first.Replace("8080", "8081", StringComparison.Ordinal),
            first.Replace("\"http\"", "\"grpc\"", StringComparison.Ordinal), first.Replace(":\"web\"", ":\"shop\"", StringComparison.Ordinal),
        ];
        EndpointSliceJson.Read(Cut(first, 7), Version, out var fingerprint);
        EndpointSliceJson.Read(Cut(first.Replace("true", "false", StringComparison.Ordinal), 7), Version, out var same);
        Assert.Equal(fingerprint, same);
        foreach (var other in others)
        {
            Assert.NotNull(EndpointSliceJson.Read(Cut(other, 7), Version, out var changed));
            Assert.NotEqual(fingerprint, changed);
        }
    }

    [Theory]
    [InlineData("{\"metadata\":")]
    [InlineData("{\"metadata\":{\"name\":\"\\ud800\"}}")]
    public void Text_NotJson_ThrowsJsonException(string text) =>
        Assert.ThrowsAny<JsonException>(() => PolicyReader.ReadObject(Cut(text, 7), Version, EndpointSlice.KindName, "x", null));

    private static EndpointSlice File(string json)
    {
        var text = json.Contains("\"kind\":\"EndpointSlice\"", StringComparison.Ordinal) ? json : $"{{\"kind\":\"EndpointSlice\",\"apiVersion\":\"{Version}\",{json[1..]}";
        var read = PolicyReader.ReadText(text, "slice.yaml");
        Assert.False(read.HasErrors, string.Join('\n', read.Diagnostics));
        return ((EndpointSlice)Assert.Single(read.Resources.All)).Compact();
    }

    private static string Text(EndpointSlice slice) =>
        $"{slice.QualifiedName} {slice.Metadata.Cluster} {slice.Service} {slice.IsValid} {slice.ReadAs} [{string.Join(' ', slice.Packed)}] {slice.Addresses.Length} [{string.Join(' ', slice.Ports)}]";

    /// <summary>The texts of slices.</summary>
    private static class SliceText
    {
        private static readonly string[] s_texts =
        [
            "\"\"", "\"web\"", "\"a.b\"", "\"Web\"", "\"w\\u0065b\"", "\"\\ud800\"", "\"ä\"", "\"-\"", "null", "7", "true", "[]", "{}", "\"a-.b\"",
        ];

        private static readonly string[] s_addresses =
        [
            "\"10.0.0.1\"", "\"10.0.0.2\"", "\"fd00::1\"", "\"::ffff:10.0.0.3\"", "\"10.0.0.4/32\"", "\"10.0.0.0/24\"", "\"010.0.0.1\"", "\"1.2.3\"",
            "\"fe80::1%eth0\"", "\"db.example.com\"", "\"not an address\"", "\"10.0.0.\\u0031\"", "\"\"", "null", "5", "{}", "\"" + new string('1', 70) + "\"",
        ];

        public static string Make(Random random)
        {
            var fields = new List<string>();
            Add(fields, random, "metadata", () => Metadata(random));
            Add(fields, random, "endpoints", () => List(random, () => Endpoint(random)));
            Add(fields, random, "ports", () => List(random, () => Port(random)));
            Maybe(fields, random, 4, "addressType", () => Of(random, 6, ["\"IPv4\"", "\"IPv6\""], s_texts));
            Maybe(fields, random, 4, "kind", () => Of(random, 8, ["\"EndpointSlice\""], ["\"Service\"", "\"EndpointSliceList\"", "\"List\"", .. s_texts]));
            Maybe(fields, random, 4, "apiVersion", () => Of(random, 8, [$"\"{Version}\"", "\"discovery.k8s.io/v1beta1\""], ["\"v1\"", "\"discovery.k8s.io/v2\"", .. s_texts]));
            Maybe(fields, random, 40, "status", () => Pick(random, s_texts));
            Maybe(fields, random, 40, "endpoint", () => Pick(random, s_texts));
            return Object(fields, random);
        }

        private static string Metadata(Random random)
        {
            var fields = new List<string>();
            Add(fields, random, "name", () => Of(random, 20, ["\"web-1\"", "\"w.1\""], s_texts));
            Maybe(fields, random, 2, "namespace", () => Of(random, 20, ["\"shop\""], s_texts));
            Maybe(fields, random, 2, "labels", () => Map(random, ["kubernetes.io/service-name", "context.mesh.gloo.solo.io/cluster", "app"]));
            Maybe(fields, random, 3, "annotations", () => Map(random, ["cluster.solo.io/cluster", "cluster.solo.io/other", "other", "keepalive-agent/existing", "keepalive-agen"], 6));
            Maybe(fields, random, 3, "creationTimestamp", () => Of(random, 8, ["\"2026-11-30T10:00:00Z\"", "null"],
                ["\"2026-11-30T10:00:00.5Z\"", "\"2026-13-30T10:00:00Z\"", "\"2026-11-30 10:00:00Z\"", "\"2026-11-30T10:00:00z\"", .. s_texts]));
            Maybe(fields, random, 3, "managedFields", () => "[{\"manager\":\"x\",\"fieldsV1\":{\"f:a\":{},\"f:a\":{}}}]");
            Maybe(fields, random, 20, "Name", () => Pick(random, s_texts));
            return Odd(random, Object(fields, random));
        }

        private static string Endpoint(Random random)
        {
            var fields = new List<string>();
            Add(fields, random, "addresses", () => Odd(random, $"[{string.Join(',', Enumerable.Range(0, random.Next(4)).Select(_ => Of(random, 12, s_addresses[..3], s_addresses)))}]"));
            Maybe(fields, random, 3, "conditions", () => Of(random, 6, ["{\"ready\":true}"], s_texts));
            Maybe(fields, random, 4, "nodeName", () => Of(random, 6, ["\"n1\""], s_texts));
            Maybe(fields, random, 30, "address", () => Pick(random, s_texts));
            return Odd(random, Object(fields, random));
        }

        private static string Port(Random random)
        {
            var fields = new List<string>();
            Add(fields, random, "port", () => Of(random, 12, ["8080", "65535", "1", "null"], ["0", "65536", "-1", "80.0", "8e1", "99999999999", .. s_texts]));
            Maybe(fields, random, 2, "name", () => Of(random, 12, ["\"http\"", "\"\"", "null"], s_texts));
            Maybe(fields, random, 2, "protocol", () => Of(random, 12, ["\"TCP\"", "\"UDP\"", "null"], s_texts));
            Maybe(fields, random, 6, "appProtocol", () => Of(random, 6, ["\"kubernetes.io/h2c\"", "null"], s_texts));
            Maybe(fields, random, 30, "Port", () => Pick(random, s_texts));
            return Odd(random, Object(fields, random));
        }

        private static string Map(Random random, string[] names, int odd = 12)
        {
            var fields = new List<string>();
            foreach (var name in names)
            {
                Maybe(fields, random, random.Next(odd) == 0 ? 1 : 3, name, () => Of(random, 12, ["\"web\"", "\"one\"", "\"\""], s_texts));
            }

            return Odd(random, Object(fields, random));
        }

        private static string List(Random random, Func<string> item) =>
            random.Next(12) == 0 ? "null" : Odd(random, $"[{string.Join(',', Enumerable.Range(0, random.Next(4)).Select(_ => item()))}]");

        /// <summary>The text, or rarely another.</summary>
        private static string Odd(Random random, string text) => random.Next(60) == 0 ? Pick(random, s_texts) : text;

        private static string Of(Random random, int one, string[] usual, string[] odd) => Pick(random, random.Next(one) == 0 ? odd : usual);

        private static string Pick(Random random, string[] texts) => texts[random.Next(texts.Length)];

        private static void Add(List<string> fields, Random random, string name, Func<string> value)
        {
            if (random.Next(30) != 0)
            {
                fields.Add($"\"{Escape(random, name)}\":{value()}");
            }

            if (random.Next(40) == 0)
            {
                fields.Add($"\"{name}\":{value()}");
            }
        }

        private static void Maybe(List<string> fields, Random random, int one, string name, Func<string> value)
        {
            if (random.Next(one) == 0)
            {
                Add(fields, random, name, value);
            }
        }

        private static string Escape(Random random, string name) => random.Next(100) switch
        {
            0 => $"\\u{(int)name[0]:x4}{name[1..]}",
            1 => name + "\\ud800",
            _ => name,
        };

        private static string Object(List<string> fields, Random random)
        {
            var order = fields.ToArray();
            random.Shuffle(order);
            return $"{{{string.Join(',', order)}}}";
        }
    }

    /// <summary>In pieces, as the network may deliver it.</summary>
    private static ReadOnlySequence<byte> Cut(string json, int length) => Cut(Encoding.UTF8.GetBytes(json), length);

    private static ReadOnlySequence<byte> Cut(byte[] bytes, int length)
    {
        Piece? first = null;
        Piece? last = null;
        for (var i = 0; i < bytes.Length; i += length)
        {
            last = new Piece(bytes.AsMemory(i, Math.Min(length, bytes.Length - i)), last);
            first ??= last;
        }

        return new ReadOnlySequence<byte>(first!, 0, last!, last!.Memory.Length);
    }

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(ReadOnlyMemory<byte> memory, Piece? before)
        {
            Memory = memory;
            if (before is not null)
            {
                RunningIndex = before.RunningIndex + before.Memory.Length;
                before.Next = this;
            }
        }
    }
}
