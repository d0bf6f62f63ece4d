using System.Buffers;
using System.Text;
using System.Text.Json;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
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
    };

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

    /// <summary>In pieces, as the network may deliver it.</summary>
    private static ReadOnlySequence<byte> Cut(string json, int length)
    {
        var bytes = Encoding.UTF8.GetBytes(json);
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
