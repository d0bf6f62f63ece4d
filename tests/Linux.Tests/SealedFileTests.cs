using System.Text;
using Keepalive.Linux.Files;
using Xunit;

namespace Keepalive.Linux.Tests;

/// <summary>Files with a checksum, which are replaced as a whole.</summary>
public sealed class SealedFileTests : IDisposable
{
    private const string Format = "tests 1";

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-sealed");

    private string FilePath => Path.Combine(_directory.FullName, "file");

    [Fact]
    public void Read_Written_IsTheContentAndNothingElseIsLeft()
    {
        Assert.Null(SealedFile.Read(FilePath, Format, 100, out var problem));
        Assert.Null(problem);
        foreach (var text in new[] { "", "one\ntwo", "three" })
        {
            SealedFile.Write(FilePath, Format, Encoding.UTF8.GetBytes(text));
            Assert.Equal(text, Encoding.UTF8.GetString(SealedFile.Read(FilePath, Format, 100, out problem)!.Value.Span));
            Assert.Null(problem);
        }
        Assert.Equal([FilePath], Directory.GetFileSystemEntries(_directory.FullName));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(FilePath));
    }

    /// <summary>Every damage of one byte is found.</summary>
    [Fact]
    public void Read_AnyByteChangedOrCut_IsRefused()
    {
        SealedFile.Write(FilePath, Format, "content"u8);
        var file = File.ReadAllBytes(FilePath);
        for (var i = 0; i < file.Length; i++)
        {
            var changed = file.ToArray();
            changed[i] ^= 4;
            File.WriteAllBytes(FilePath, changed);
            Assert.Null(SealedFile.Read(FilePath, Format, 100, out var problem));
            Assert.NotNull(problem);
            File.WriteAllBytes(FilePath, file[..i]);
            Assert.Null(SealedFile.Read(FilePath, Format, 100, out problem));
            Assert.NotNull(problem);
        }
    }

    /// <summary>After a crash between the two steps of a write, the content is that before.</summary>
    [Fact]
    public void Write_AfterACrash_ReplacesWhatIsLeft()
    {
        SealedFile.Write(FilePath, Format, "one"u8);
        File.WriteAllText(FilePath + ".new", "half a fi");
        Assert.Equal("one"u8, SealedFile.Read(FilePath, Format, 100, out _)!.Value.Span);
        SealedFile.Write(FilePath, Format, "two"u8);
        Assert.Equal("two"u8, SealedFile.Read(FilePath, Format, 100, out _)!.Value.Span);
        Assert.False(File.Exists(FilePath + ".new"));
    }

    [Fact]
    public void DataDirectory_CannotBeCreated_SaysWhyAndWritesNothing()
    {
        File.WriteAllText(FilePath, "");
        using var directory = DataDirectory.Open(Path.Combine(FilePath, "data"));
        Assert.Contains("is not a directory", directory.Problem, StringComparison.Ordinal);
        Assert.Equal(directory.Problem, directory.Write("name", Format, "content"u8));
        Assert.Null(directory.Read("name", Format, 100, out var problem));
        Assert.NotNull(problem);
    }

    [Fact]
    public void DataDirectory_WritableByOthers_IsNeitherReadNorWritten()
    {
        SealedFile.Write(FilePath, Format, "planted"u8);
        File.SetUnixFileMode(_directory.FullName, (UnixFileMode)0b111_111_111);
        using var directory = DataDirectory.Open(_directory.FullName);
        Assert.Contains("is writable by others", directory.Problem, StringComparison.Ordinal);
        Assert.Null(directory.Read("file", Format, 100, out var problem));
        Assert.Contains("is writable by others", problem, StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Delete(recursive: true);
}
