using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;
using Xunit;

namespace Keepalive.Linux.Tests;

public sealed class FilesTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-files");

    private string FilePath => Path.Combine(_directory.FullName, "file");

    [Fact]
    public void AppendLog_ManyAppends_AreInTheFileAtOnce()
    {
        using var log = AppendLog.Create(FilePath);
        for (int i = 0; i < 20_000; i++)
        {
            log.Append("0123456789\n"u8);
        }
        Assert.Equal(220_000, log.Length);
        Assert.Equal(220_000, new FileInfo(FilePath).Length);
    }

    [Fact]
    public void AppendLog_Disposed_FileHasTheLengthOfItsContent()
    {
        AppendLog.Create(FilePath).Dispose();
        Assert.Equal(0, new FileInfo(FilePath).Length);
        using (var log = AppendLog.Create(FilePath))
        {
            log.Append("abc"u8);
        }
        Assert.Equal(3, new FileInfo(FilePath).Length);
    }

    [Fact]
    public void AppendLog_DeviceFull_IsAnErrorAndNothingIsAppended()
    {
        using var log = new AppendLog(FileDescriptor.TryOpen("/dev/full", Unistd.O_RDWR, out _)!, "/dev/full");
        Assert.Equal(Errno.ENOSPC, Assert.Throws<LinuxException>(() => log.Append("abc"u8)).Errno);
        Assert.Equal(0, log.Length);
    }

    [Fact]
    public void AppendLog_TruncatedByAnotherProcess_Continues()
    {
        using var log = AppendLog.Create(FilePath);
        log.Append(new byte[100_000]);
        File.WriteAllText(FilePath, "");
        log.Append("abc"u8);
        Assert.Equal(100_003, new FileInfo(FilePath).Length);
    }

    [Fact]
    public void AppendLog_Continued_AppendsAfterTheKeptContent()
    {
        File.WriteAllText(FilePath, "one\ntw");
        using (var log = AppendLog.Continue(FilePath, 4))
        {
            Assert.Equal(4, log.Length);
            log.Append("three\n"u8);
        }
        Assert.Equal("one\nthree\n", File.ReadAllText(FilePath));
        Assert.Equal(Errno.ENOENT, Assert.Throws<LinuxException>(() => AppendLog.Continue(FilePath + ".none", 0)).Errno);
    }

    [Fact]
    public void FileStamp_FileChanged_Differs()
    {
        Assert.Null(FileStamp.Of(FilePath));
        File.WriteAllText(FilePath, "one");
        var first = FileStamp.Of(FilePath);
        Assert.Equal(3ul, first?.Size);
        Assert.Equal(first, FileStamp.Of(FilePath));
        var written = File.GetLastWriteTimeUtc(FilePath);
        Thread.Sleep(20);   // the kernel's clock for files advances only with its ticks
        File.WriteAllText(FilePath, "two");
        File.SetLastWriteTimeUtc(FilePath, written);
        Assert.NotEqual(first, FileStamp.Of(FilePath));
        File.CreateSymbolicLink(FilePath + ".link", FilePath);
        Assert.Equal(FileStamp.Of(FilePath), FileStamp.Of(FilePath + ".link"));
    }

    [Fact]
    public void InstanceLock_Held_IsRefusedWithTheHoldersPid()
    {
        using (var held = InstanceLock.TryAcquire(FilePath))
        {
            Assert.NotNull(held);
            Assert.Null(InstanceLock.TryAcquire(FilePath));
            Assert.Equal($"{Environment.ProcessId}", InstanceLock.Holder(FilePath));
        }
        using var again = InstanceLock.TryAcquire(FilePath);
        Assert.NotNull(again);
    }

    public void Dispose() => _directory.Delete(recursive: true);
}
