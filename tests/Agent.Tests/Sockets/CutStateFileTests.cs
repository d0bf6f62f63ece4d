using System.Text;
using Keepalive.Agent.Sockets;
using Xunit;

namespace Keepalive.Agent.Tests.Sockets;

/// <summary>State files that are truncated at any byte, as by a killed writer.</summary>
public sealed class CutStateFileTests : IDisposable
{
    private const string Boot = "b00t";

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-state");

    [Fact]
    public void Load_EveryPrefix_ReadsWholeLinesAndWarnsOfACutFirstLine()
    {
        string[] lines =
        [
            $"keepalive-agent-state 1 {Boot}", "arriving 60,10,6 -,-,-", "set 1 10 off,7200,75,9 off,7200,75,9 on,700,10,20 shop/p shop/d", "ok",
            "kept 2 12 on,60,5,3", "application 2 13", "set 1 11 off,7200,75,9 on,1,2,3 on,700,10,20 - -", "forget 2 13", "",
        ];
        var bytes = Encoding.UTF8.GetBytes(string.Join('\n', lines));
        for (var length = 0; length <= bytes.Length; length++)
        {
            var (known, warnings) = Load(bytes[..length]);

            var whole = bytes.AsSpan(0, length).Count((byte)'\n');
            Assert.Equal(whole switch { < 3 => 0, < 5 => 1, 5 => 2, 6 => 3, 7 => 4, _ => 3 }, known.Count);
            Assert.Equal(length < lines[0].Length ? 1 : 0, warnings.Count);
        }
    }

    [Theory]
    [InlineData("set 1")]
    [InlineData("set 1 10 off,7200,75,9 off,7200,75,9")]
    [InlineData("set 1 10 off,7200,75,9 off,7200,75,9 on,700,10")]
    [InlineData("set 1 10 off,7200,75,9 off,7200,75,9 on,99999999999,10,20 - -")]
    [InlineData("set 1 10 off,7200,75,9 off,7200,75,9 on,-1,10,20 - -")]
    [InlineData("set 18446744073709551616 10 off,7200,75,9 off,7200,75,9 on,1,1,1 - -")]
    [InlineData("kept 1 10 ")]
    [InlineData("arriving 99999999999,1,1")]
    [InlineData("\0\0\0")]
    [InlineData("\uFFFD")]
    public void Load_InvalidLine_IsReportedAndSkipped(string line)
    {
        var (known, warnings) = Load(Encoding.UTF8.GetBytes($"keepalive-agent-state 1 {Boot}\n{line}\nkept 2 12 on,60,5,3\n"));

        Assert.Single(known);
        Assert.Contains(":2: 1 line", Assert.Single(warnings), StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private (InheritedSockets Known, List<string> Warnings) Load(byte[] bytes)
    {
        var path = Path.Combine(_directory.FullName, "state");
        File.WriteAllBytes(path, bytes);
        var warnings = new List<string>();
        return (StateFile.Load(path, Boot, warnings.Add), warnings);
    }
}
