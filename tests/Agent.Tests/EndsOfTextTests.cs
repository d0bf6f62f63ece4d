using System.Text;
using Keepalive.Agent.Support;
using Xunit;

namespace Keepalive.Agent.Tests;

public sealed class EndsOfTextTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("one\n", "one\n")]
    [InlineData("one\ntwo ä three", "one\ntwo ä three")]
    [InlineData("first\nsecond äää\nthird\nfourth\nlast one\n", "first\nlast one\n")]
    [InlineData("first\n1\n2\n3\n4\n5\n6\n7\n8\n9\nlast", "first\n1\n2\n7\n8\n9\nlast")]
    public void Text_InPiecesOfAnyLength_HasItsFirstAndLastLines(string text, string kept)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        for (var piece = 1; piece <= bytes.Length + 1; piece++)
        {
            var ends = new EndsOfText(11);
            foreach (var part in bytes.Chunk(piece))
            {
                ends.Add(part);
            }
            Assert.Equal(kept, ends.ToString());
        }
    }
}
