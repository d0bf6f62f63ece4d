using System.Buffers;
using System.Net;
using System.Text.Json;

namespace Keepalive.Agent.Kubernetes;

/// <summary>An open watch. Sends each of its events to the sink.</summary>
/// <param name="response">The server's answer.</param>
/// <param name="body">Its body.</param>
/// <param name="sink">Receives the objects.</param>
/// <param name="apiVersion">The API version of the request.</param>
internal sealed class WatchStream(HttpResponseMessage response, JsonStream body, IObjectSink sink, string apiVersion) : IAsyncDisposable
{
    /// <summary>The version of the last event that had one; null before the first.</summary>
    public string? Version { get; private set; }

    /// <summary>Waits for the next event and sends it to the sink; returns false at the end.</summary>
    /// <exception cref="ApiException">The server ended the watch with an error, the connection broke, or the server was quiet for too
    /// long.</exception> <exception cref="JsonException">An event is invalid.</exception>
    public Task<bool> NextAsync() => body.ReadLineAsync(Take);

    public async ValueTask DisposeAsync()
    {
        await body.DisposeAsync().ConfigureAwait(false);
        response.Dispose();
    }

    private void Take(in ReadOnlySequence<byte> line)
    {
        if (line.IsEmpty)
        {
            return;
        }
        var (type, json) = WatchEvent.Read(in line);
        switch (type)
        {
            case "ADDED" or "MODIFIED" or "DELETED" or "BOOKMARK":
                var head = ApiJson.HeadOf(in json);
                if (type == "DELETED")
                {
                    sink.Remove(ApiJson.Named(head));
                }
                else if (type != "BOOKMARK")
                {
                    sink.Take(ApiJson.Named(head), apiVersion, in json);
                }
                Version = head?.ResourceVersion is { Length: > 0 } version ? version : Version;
                break;
            case "ERROR":
                var status = ApiJson.StatusOf(json.ToArray());
                throw new ApiException(status?.Code ?? (status?.Reason is "Expired" or "Gone" ? (int)HttpStatusCode.Gone : 0), status?.Message ?? "the watch failed");
            default:
                throw new JsonException($"an event of type {type ?? "none"}");
        }
    }
}
