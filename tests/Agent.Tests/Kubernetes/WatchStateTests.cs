using Keepalive.Agent.Kubernetes;
using Xunit;

namespace Keepalive.Agent.Tests.Kubernetes;

public sealed class WatchStateTests
{
    private static readonly KindSelection s_some = new("shop", "labelSelector=app");

    [Fact]
    public void Toward_Nothing_IsIdle()
    {
        Assert.IsType<WatchState.Idle>(new WatchState.Idle().Toward(null));
        Assert.IsType<WatchState.Idle>(new WatchState.Listing(s_some).Toward(null));
        Assert.IsType<WatchState.Idle>(new WatchState.Watching(s_some, "1").Toward(null));
    }

    [Fact]
    public void Toward_TheSame_DoesNotChange()
    {
        WatchState[] states = [new WatchState.Listing(s_some), new WatchState.Watching(s_some, "1")];
        Assert.All(states, state => Assert.Same(state, state.Toward(new KindSelection("shop", "labelSelector=app"))));
    }

    [Fact]
    public void Toward_SomethingElse_ListsIt()
    {
        WatchState[] states = [new WatchState.Idle(), new WatchState.Listing(s_some), new WatchState.Watching(s_some, "1")];
        Assert.All(states, state => Assert.Equal(KindSelection.All, Assert.IsType<WatchState.Listing>(state.Toward(KindSelection.All)).Of));
    }

    [Fact]
    public void Again_OfAWatch_ListsTheSame()
    {
        Assert.Equal(s_some, Assert.IsType<WatchState.Listing>(new WatchState.Watching(s_some, "1").Again).Of);
        Assert.Equal(s_some, Assert.IsType<WatchState.Listing>(new WatchState.Listing(s_some).Again).Of);
    }
}
