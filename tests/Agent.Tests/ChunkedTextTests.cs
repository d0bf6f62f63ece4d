using System.Buffers;
using System.Text;
using Keepalive.Agent.Support;
using Xunit;

namespace Keepalive.Agent.Tests;

public sealed class ChunkedTextTests
{
    [Fact]
    public void Written_PiecesOfAnyLengthAndCuts_IsWhatAStringWouldBe()
    {
        var random = new Random(24);
        for (var round = 0; round < 200; round++)
        {
            var (text, expected) = (new ChunkedText(), new StringBuilder());
            for (var step = random.Next(40); step > 0; step--)
            {
                if (random.Next(8) == 0)
                {
                    var length = random.Next(expected.Length + 1);
                    expected.Length = length;
                    text.Cut(length);
                }
                else
                {
                    var piece = new string((char)('a' + random.Next(26)), random.Next(random.Next(4) == 0 ? 100_000 : 100));
                    expected.Append(piece);
                    text.Write(Encoding.UTF8.GetBytes(piece));
                }
                Assert.Equal(expected.Length, text.Length);
                if (random.Next(5) == 0)
                {
                    Assert.Equal(expected.ToString(), Encoding.UTF8.GetString(text.Written));
                }
            }
            Assert.Equal(expected.ToString(), Encoding.UTF8.GetString(text.Written));
        }
    }
}
