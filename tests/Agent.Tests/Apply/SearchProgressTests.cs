using Keepalive.Agent.Apply.Tracking;
using Xunit;

namespace Keepalive.Agent.Tests.Apply;

public sealed class SearchProgressTests
{
    private readonly SearchProgress _progress = new();

    [Fact]
    public void From_NothingReached_IsTheBeginning()
    {
        Assert.Equal(0, _progress.From("pod a", outside: false, pid: 7));
        Assert.Equal(0, _progress.From("pod a", outside: true, pid: 7));
    }

    [Fact]
    public void From_StoppedWithinAProcess_ContinuesThere()
    {
        _progress.Reached("pod a", outside: false, pid: 7, descriptor: 640);
        Assert.Null(_progress.From("pod a", outside: false, pid: 6));
        Assert.Equal(640, _progress.From("pod a", outside: false, pid: 7));
        Assert.Equal(0, _progress.From("pod a", outside: false, pid: 8));
        Assert.Equal(0, _progress.From("pod a", outside: true, pid: 3));
        Assert.Equal(0, _progress.From("pod b", outside: false, pid: 6));
        Assert.Equal(0, _progress.From(null, outside: false, pid: 6));
    }

    [Fact]
    public void From_ProcessDone_ContinuesWithTheNextAndOutsideLast()
    {
        _progress.Reached(null, outside: false, pid: 7, descriptor: null);
        Assert.Null(_progress.From(null, outside: false, pid: 7));
        Assert.Equal(0, _progress.From(null, outside: false, pid: 8));

        _progress.Reached(null, outside: true, pid: 3, descriptor: null);
        Assert.Null(_progress.From(null, outside: false, pid: 8));
        Assert.Null(_progress.From(null, outside: true, pid: 3));
        Assert.Equal(0, _progress.From(null, outside: true, pid: 4));

        Assert.Equal(5, _progress.GoOn(pass: 5));
        Assert.Equal(5, _progress.GoOn(pass: 6));
        _progress.Clear();
        Assert.Equal(7, _progress.GoOn(pass: 7));
        Assert.Equal(0, _progress.From(null, outside: false, pid: 7));
    }
}
