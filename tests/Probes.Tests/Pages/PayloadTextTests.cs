using System.Text;
using Keepalive.Probes.Pages;
using Xunit;

namespace Keepalive.Probes.Tests.Pages;

/// <summary>The few words that a report takes from payload: requests of HTTP/1, and the server's name of TLS.</summary>
public sealed class PayloadTextTests
{
    [Fact]
    public void Exchanges_RequestAndAnswer_HaveTimesAndStatusButNoQuery()
    {
        var exchanges = new HttpExchanges();

        exchanges.Take("GET /a/b?token=secret HTTP/1.1\r\n"u8, isFromClient: true, 10);
        exchanges.Take("HTTP/1.1 100 Continue\r\n\r\n"u8, isFromClient: false, 20);
        exchanges.Take("HTTP/1.1 503 Service Unavailable\r\n"u8, isFromClient: false, 30);

        Assert.Equal([new ReportRequest(10, 30, 503, "GET /a/b: 503")], exchanges.ToList(99));
    }

    [Fact]
    public void Exchanges_RequestSentAgain_BeganWithTheFirst()
    {
        var exchanges = new HttpExchanges();

        exchanges.Take("POST /x HTTP/1.1\r\n"u8, isFromClient: true, 10);
        exchanges.Take("POST /x HTTP/1.1\r\n"u8, isFromClient: true, 20);

        Assert.Equal([new ReportRequest(10, 99, 0, "POST /x: no answer")], exchanges.ToList(99));
        exchanges.Reset(40);
        Assert.Equal([new ReportRequest(10, 40, 0, "POST /x: no answer, the connection was reset")], exchanges.ToList(99));
    }

    [Fact]
    public void Exchanges_TargetOfControlCharacters_IsPrintable()
    {
        var exchanges = new HttpExchanges();

        exchanges.Take("GET /\u001b[31m<b>\u0000 HTTP/1.1\r\n"u8, isFromClient: true, 0);

        Assert.Equal("GET /?[31m<b>?: no answer", exchanges.ToList(0)[0].Text);
    }

    [Fact]
    public void Exchanges_MoreThanTheLimit_KeepFailuresAndAreBounded()
    {
        var exchanges = new HttpExchanges();
        for (var i = 0; i < 10_000; i++)
        {
            exchanges.Take("GET / HTTP/1.1\r\n"u8, isFromClient: true, i);
            exchanges.Take(i == 9_000 ? "HTTP/1.1 504 Late\r\n"u8 : "HTTP/1.1 200 OK ...\r\n"u8, isFromClient: false, i);
        }

        var requests = exchanges.ToList(10_000);
        Assert.Equal(500, requests.Count);
        Assert.Contains(requests, request => request is { Status: 504, From: 9_000 });
    }

    [Fact]
    public void ServerName_ClientHello_IsFound() => Assert.Equal("<script>.example", ServerName.Find(ClientHello("<script>.example")));

    [Fact]
    public void ServerName_CutOrChanged_NeverThrows()
    {
        var hello = ClientHello("shop.example");
        var random = new Random(26);
        for (var length = 0; length < hello.Length; length++)
        {
            Assert.Null(ServerName.Find(hello.AsSpan(0, length)));
        }
        for (var i = 0; i < 20_000; i++)
        {
            var changed = hello.ToArray();
            changed[random.Next(5, changed.Length)] = (byte)random.Next(256);
            changed[random.Next(5, changed.Length)] = (byte)random.Next(256);
            Assert.True(ServerName.Find(changed) is null or { Length: <= 253 });
        }
    }

    private static byte[] ClientHello(string name)
    {
        var host = Encoding.Latin1.GetBytes(name);
        byte[] extension = [0, 0, .. Two(host.Length + 5), .. Two(host.Length + 3), 0, .. Two(host.Length), .. host];
        byte[] extensions = [0, 23, 0, 0, .. extension];
        byte[] body = [3, 3, .. new byte[32], 4, 1, 2, 3, 4, 0, 2, 0x13, 1, 1, 0, .. Two(extensions.Length), .. extensions];
        byte[] message = [1, 0, .. Two(body.Length), .. body];
        return [22, 3, 1, .. Two(message.Length), .. message];
    }

    private static byte[] Two(int number) => [(byte)(number >> 8), (byte)number];
}
