using System.Text;

namespace Keepalive.Probes.Pages;

/// <summary>The requests of a connection by the first lines of HTTP/1 that its packets begin with.</summary>
/// <remarks>Nothing else of the payload is kept, and of a target only what stands in front of the question mark: the rest may be a secret.</remarks>
internal sealed class HttpExchanges
{
    private const int MaxRequests = 500;
    private const int MaxLine = 100;

    private static readonly string[] s_methods = ["GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "PATCH ", "OPTIONS "];

    private readonly List<ReportRequest> _requests = [];
    private string? _pending;
    private long _sent;

    /// <summary>Whether a request waits for its answer.</summary>
    public bool IsWaiting => _pending is not null;

    /// <summary>Whether a payload may begin with a line of HTTP/1.</summary>
    public static bool MayBegin(ReadOnlySpan<byte> payload) =>
        payload.Length >= 12 && payload[0] is (byte)'G' or (byte)'P' or (byte)'H' or (byte)'D' or (byte)'O';

    /// <summary>Takes a packet's payload.</summary>
    public void Take(ReadOnlySpan<byte> payload, bool isFromClient, long time)
    {
        if (!MayBegin(payload))
        {
            return;
        }
        if (isFromClient)
        {
            if (RequestLine(payload) is { } line && _pending is null)
            {
                (_pending, _sent) = (line, time);
            }
        }
        else if (_pending is { } request && Status(payload) is { } status && status >= 200)
        {
            Add(new ReportRequest(_sent, time, status, $"{request}: {status}"));
        }
    }

    /// <summary>The connection was reset.</summary>
    public void Reset(long time)
    {
        if (_pending is { } request)
        {
            Add(new ReportRequest(_sent, time, 0, $"{request}: no answer, the connection was reset"));
        }
    }

    /// <summary>All of them, one without an answer last.</summary>
    /// <param name="end">The time of the last packet.</param>
    public IReadOnlyList<ReportRequest> ToList(long end) => _pending is { } request
        ? [.. _requests, new ReportRequest(_sent, Math.Max(_sent, end), 0, $"{request}: no answer")]
        : [.. _requests];

    private void Add(ReportRequest request)
    {
        _pending = null;
        if (_requests.Count < MaxRequests || request.Status is < 200 or >= 400)
        {
            // A failed one is worth more than one that went well.
            if (_requests.Count >= MaxRequests)
            {
                _requests.RemoveAt(_requests.Count - 1);
            }
            _requests.Add(request);
        }
    }

    private static string? RequestLine(ReadOnlySpan<byte> payload)
    {
        foreach (var method in s_methods)
        {
            if (StartsWith(payload, method))
            {
                var rest = payload[method.Length..Math.Min(payload.Length, method.Length + MaxLine)];
                var end = rest.IndexOfAny(" ?\r\n"u8);
                return method + Printable(end < 0 ? rest : rest[..end]);
            }
        }
        return null;
    }

    private static int? Status(ReadOnlySpan<byte> payload) =>
        payload.Length >= 12 && StartsWith(payload, "HTTP/1.") && payload[8] == (byte)' '
            && IsDigit(payload[9]) && IsDigit(payload[10]) && IsDigit(payload[11])
            ? ((payload[9] - '0') * 100) + ((payload[10] - '0') * 10) + payload[11] - '0'
            : null;

    private static bool StartsWith(ReadOnlySpan<byte> payload, string text) =>
        payload.Length >= text.Length && Ascii.Equals(payload[..text.Length], text);

    private static bool IsDigit(byte character) => character is >= (byte)'0' and <= (byte)'9';

    private static string Printable(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder(bytes.Length);
        foreach (var character in bytes)
        {
            text.Append(character is > 0x20 and < 0x7f ? (char)character : '?');
        }
        return text.ToString();
    }
}
