using System.Buffers;
using System.Text;
using System.Text.Json;
using Keepalive.Agent.Kubernetes;
using Keepalive.Probes.Tests.Capture;
using Xunit;

namespace Keepalive.Agent.Tests.Kubernetes;

/// <summary>Truncated answers of the API server.</summary>
public sealed class CutAnswersTests
{
    private const string List = """
        {"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"42","continue":""},
         "items":[{"metadata":{"name":"a","namespace":"shop"},"spec":{"ports":[{"port":80}]}},{"metadata":{"name":"ü\u00fc\ud83d\ude00"}}]}
        """;

    private const string Events = """
        {"type":"ADDED","object":{"metadata":{"name":"a"}}}
        {"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"43"}}}

        """;

    [Theory]
    [InlineData(1)]
    [InlineData(13)]
    [InlineData(int.MaxValue)]
    public async Task List_EveryPrefix_IsABrokenAnswer(int chunk)
    {
        var bytes = Encoding.UTF8.GetBytes(List);
        for (var length = 0; length < bytes.Length; length++)
        {
            await using var stream = new JsonStream(new PipeStream(bytes[..length], chunk), TimeSpan.FromSeconds(30), TimeProvider.System, default);
            var broken = await Record.ExceptionAsync(() => stream.ReadListAsync((in ReadOnlySequence<byte> _) => { }));

            Assert.True(broken is ApiException or JsonException, $"{length} bytes: {broken}");
        }
    }

    /// <summary>Regression: it was an error of the program and not of the answer.</summary>
    [Fact]
    public async Task NameThatIsNotUtf8_IsNoJson()
    {
        byte[] list = [.. "{\"it"u8, 0xD3, .. "ms\":[]}"u8], line = [.. "{\"type\":\"ADDE"u8, 0x87, .. "\"}"u8];
        await using var stream = new JsonStream(new MemoryStream(list), TimeSpan.FromSeconds(30), TimeProvider.System, default);

        await Assert.ThrowsAsync<JsonException>(() => stream.ReadListAsync((in ReadOnlySequence<byte> _) => { }));
        Assert.Throws<JsonException>(() => WatchEvent.Read(new ReadOnlySequence<byte>(line)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(int.MaxValue)]
    public async Task Watch_EveryPrefix_HasTheWholeLinesAndABrokenAnswer(int chunk)
    {
        var bytes = Encoding.UTF8.GetBytes(Events);
        for (var length = 0; length <= bytes.Length; length++)
        {
            var prefix = bytes[..length];
            await using var stream = new JsonStream(new PipeStream(prefix, chunk), TimeSpan.FromSeconds(30), TimeProvider.System, default);
            var lines = 0;
            var broken = await Record.ExceptionAsync(async () =>
            {
                while (await stream.ReadLineAsync((in ReadOnlySequence<byte> _) => lines++))
                {
                    // As many as the text has.
                }
            });

            Assert.Equal(prefix.Count(b => b == '\n'), lines);
            Assert.Equal(length == 0 || prefix[^1] == '\n', broken is null);
            Assert.True(broken is null or ApiException, $"{length} bytes: {broken}");
        }
    }
}
