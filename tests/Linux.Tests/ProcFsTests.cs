using System.Net.Sockets;
using Keepalive.Linux.Processes;
using Xunit;

namespace Keepalive.Linux.Tests;

public sealed class ProcFsTests
{
    [Fact]
    public void List_InParts_AreAllInOrder()
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
        var isEnd = false;
        using var directory = DescriptorDirectory.TryOpen(Environment.ProcessId)!;
        try
        {
            var parts = 0;
            for (var from = 0; ; from = part[^1] + 1)
            {
                var wasEnd = isEnd;
                isEnd = directory.List(from, new byte[32 * 1024], part);
                if (part.Count == 0)
                {
                    break;
                }
                Assert.False(wasEnd);
                Assert.All(part, number => Assert.True(number >= from));
                found.AddRange(part);
                parts++;
            }
            Assert.True(isEnd);
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
    public void SocketInode_OfEachKind_IsThatOfSockDiag()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        using var file = File.OpenHandle("/dev/null");
        using var directory = DescriptorDirectory.TryOpen(Environment.ProcessId)!;
        var link = new FileInfo($"/proc/self/fd/{socket.Handle}").LinkTarget;

        Assert.Equal(link, $"socket:[{ProcFs.SocketInode(Environment.ProcessId, (int)socket.Handle)}]");
        Assert.Equal(link, $"socket:[{directory.SocketInode((int)socket.Handle)}]");
        Assert.Equal(0UL, ProcFs.SocketInode(Environment.ProcessId, (int)file.DangerousGetHandle()));
        Assert.Null(ProcFs.SocketInode(Environment.ProcessId, 1_000_000));
        Assert.Null(directory.SocketInode(1_000_000));
    }
}
