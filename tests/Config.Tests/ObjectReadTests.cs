using System.Buffers;
using System.Text;
using System.Text.Json;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
using Xunit;

namespace Keepalive.Config.Tests;

/// <summary>Objects as the API server sends them, compared with the same objects as files.</summary>
public sealed class ObjectReadTests
{
    private const string ApiVersion = "resilience.policy.gloo.solo.io/v2";
    private const string Source = "ConnectionPolicy shop/database";
    private const string Metadata = """ "name":"database","namespace":"shop" """;
    private const string Spec = """{"applyToDestinations":[{"kind":"EXTERNAL_SERVICE","selector":{"name":"postgres"}}],"config":{"tcp":{"tcpKeepalive":{"time":"60s","probes":6}}}}""";

    [Fact]
    public void Object_WithoutVersionAndKind_IsReadAsTheFileIs()
    {
        var read = Read($$"""{"metadata":{{{Metadata}}},"spec":{{Spec}}}""");
        var file = PolicyReader.ReadText($$"""{"apiVersion":"{{ApiVersion}}","kind":"ConnectionPolicy","metadata":{{{Metadata}}},"spec":{{Spec}}}""", "p.yaml");

        Assert.Empty(read.Read!.Diagnostics);
        var (policy, same) = (Assert.IsType<ConnectionPolicy>(Assert.Single(read.Read.Resources.All)), Assert.IsType<ConnectionPolicy>(Assert.Single(file.Resources.All)));
        Assert.Equal(same.QualifiedName, policy.QualifiedName);
        Assert.Equal(same.IsValid, policy.IsValid);
        Assert.Equal(Source, policy.Position.ToString());
    }

    [Fact]
    public void Fingerprint_FieldChanged_DiffersOnlyIfTheFieldIsRead()
    {
        var first = Read($$"""{"metadata":{{{Metadata}}},"spec":{{Spec}}}""");
        var touched = Read(
            $$$"""{"metadata":{{{{Metadata}}},"resourceVersion":"7","managedFields":[{"manager":"x"}],"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}"}},"spec":{{{Spec}}},"status":{"a":1}}""",
            first.Fingerprint);
        Assert.NotEqual(first.Fingerprint, touched.Fingerprint);   // annotations exist now, although no reader uses them
        var again = Read(
            $$$"""{"status":{"a":2},"metadata":{{{{Metadata}}},"resourceVersion":"8","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{ }"}},"spec":{{{Spec}}}}""",
            touched.Fingerprint);
        Assert.Equal(touched.Fingerprint, again.Fingerprint);
        Assert.Null(again.Read);
        var other = Read($$"""{"metadata":{{{Metadata}}},"spec":{{Spec.Replace("60s", "61s", StringComparison.Ordinal)}}}""", first.Fingerprint);
        Assert.NotEqual(first.Fingerprint, other.Fingerprint);
        Assert.NotNull(other.Read);
    }

    [Fact]
    public void Field_OfANewerVersion_IsANote()
    {
        var read = Read($$"""{"metadata":{{{Metadata}}},"spec":{{Spec.Replace("\"config\"", "\"sinceNextYear\":{},\"config\"", StringComparison.Ordinal)}}}""");
        Assert.Equal(("KA055", Severity.Note), (Assert.Single(read.Read!.Diagnostics).Code, Assert.Single(read.Read.Diagnostics).Severity));
        Assert.True(Assert.Single(read.Read.Resources.All).IsValid);
    }

    [Theory]
    [InlineData("tcpKeepAlive")]
    [InlineData("tcpkeepalive")]
    public void Field_MisspeltOnTheServer_IsAWarning(string misspelt)
    {
        var read = Read($$"""{"metadata":{{{Metadata}}},"spec":{{Spec.Replace("tcpKeepalive", misspelt, StringComparison.Ordinal)}}}""");
        var diagnostic = Assert.Single(read.Read!.Diagnostics);
        Assert.Equal(("KA056", Severity.Warning), (diagnostic.Code, diagnostic.Severity));
        Assert.Contains("tcpKeepalive", diagnostic.Fix, StringComparison.Ordinal);
        Assert.True(Assert.Single(read.Read.Resources.All).IsValid);
    }

    [Fact]
    public void Field_LikeOneThatIsThere_IsOneOfANewerVersion()
    {
        var read = Read($$"""{"metadata":{{{Metadata}}},"spec":{{Spec.Replace("\"probes\"", "\"timer\":1,\"probes\"", StringComparison.Ordinal)}}}""");
        Assert.Equal("KA055", Assert.Single(read.Read!.Diagnostics).Code);
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("7")]
    [InlineData("{\"metadata\":")]
    [InlineData("{\"metadata\":{\"name\":\"\\ud800\"}}")]
    [InlineData("{\"\\udc00\":1}")]
    public void Text_NotAnObject_ThrowsJsonException(string text) => Assert.ThrowsAny<JsonException>(() => Read(text));

    [Fact]
    public void Text_NestedTooDeep_ThrowsJsonException() =>
        Assert.ThrowsAny<JsonException>(() => Read($$"""{"spec":{{new string('[', 5000)}}{{new string(']', 5000)}}}"""));

    /// <summary>In pieces of seven bytes, as the network may deliver it.</summary>
    private static ObjectRead Read(string json, ulong? known = null)
    {
        var bytes = Encoding.UTF8.GetBytes(json);
        Piece? first = null;
        Piece? last = null;
        for (var i = 0; i < bytes.Length; i += 7)
        {
            last = new Piece(bytes.AsMemory(i, Math.Min(7, bytes.Length - i)), last);
            first ??= last;
        }
        return PolicyReader.ReadObject(new ReadOnlySequence<byte>(first!, 0, last!, last!.Memory.Length), ApiVersion, "ConnectionPolicy", Source, known);
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
