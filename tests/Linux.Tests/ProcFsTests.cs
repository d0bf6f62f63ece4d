using System.Net.Sockets;
using Keepalive.Linux.Processes;
using Xunit;

namespace Keepalive.Linux.Tests;

public sealed class ProcFsTests
{
    [Fact]
    public void ListDescriptors_InParts_AreAllInOrder()
    {
        var files = Enumerable.Range(0, 3000).Select(_ => File.OpenHandle("/dev/null")).ToList();
        var held = files.Select(file => (int)file.DangerousGetHandle()).Order().ToList();
        // Gaps of every size.
        for (var i = 0; i < files.Count; i += 3)
        {
            held.Remove((int)files[i].DangerousGetHandle());
            files[i].Dispose();
        }
        List<int> part = [], found = [];
        try
        {
            var parts = 0;
            for (var from = 0; ; from = part[^1] + 1)
            {
                ProcFs.ListDescriptors(Environment.ProcessId, from, part);
                if (part.Count == 0)
                {
                    break;
                }
                Assert.All(part, number => Assert.True(number >= from));
                found.AddRange(part);
                parts++;
            }
            Assert.InRange(parts, 2, 10);
            Assert.Equal(found.Order(), found);
            Assert.Empty(held.Except(found));
        }
        finally
        {
            files.ForEach(file => file.Dispose());
        }
    }

    [Fact]
    public void IsSocket_OfEachKind_IsRecognized()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        using var file = File.OpenHandle("/dev/null");

        Assert.True(ProcFs.IsSocket(Environment.ProcessId, (int)socket.Handle));
        Assert.False(ProcFs.IsSocket(Environment.ProcessId, (int)file.DangerousGetHandle()));
        Assert.Null(ProcFs.IsSocket(Environment.ProcessId, 1_000_000));
    }
}
