using Keepalive.Config.Balancers;
using Xunit;

namespace Keepalive.Config.Tests.Balancers;

public sealed class IdleBehaviourTests
{
    [Fact]
    public void Classes_AreEightDifferentOnes()
    {
        Assert.Equal(8, IdleBehaviour.Classes.Length);
        Assert.Distinct(IdleBehaviour.Classes.Select(entry => entry.Name));
        Assert.Distinct(IdleBehaviour.Classes.Select(entry => entry.Behaviour));
        Assert.All(IdleBehaviour.Classes, entry => Assert.Equal(entry.Behaviour, IdleBehaviour.Find(entry.Name)));
    }

    [Fact]
    public void Classes_HaveEveryExpiryAndEveryRefresh()
    {
        Assert.Equal(Enum.GetValues<ExpiryClass>(), IdleBehaviour.Classes.Select(entry => entry.Behaviour.Expiry).Distinct().Order());
        Assert.Equal(Enum.GetValues<Refresh>(), IdleBehaviour.Classes.Select(entry => entry.Behaviour.Refresh).Distinct().Order());
    }

    [Fact]
    public void NameOf_EveryValue_IsItsOwn()
    {
        Assert.Distinct(Enum.GetValues<ExpiryClass>().Select(IdleBehaviour.NameOf));
        Assert.Distinct(Enum.GetValues<Refresh>().Select(IdleBehaviour.NameOf));
    }

    [Theory]
    [InlineData("reset-on-next-packet", ExpiryClass.ResetOnNextPacket, Refresh.AnyPacket)]
    [InlineData("per-direction", ExpiryClass.SilentDrop, Refresh.PerDirection)]
    [InlineData("payload-only", ExpiryClass.FinBoth, Refresh.PayloadOnly)]
    public void Find_Class_IsItsExpiryAndRefresh(string name, ExpiryClass expiry, Refresh refresh) =>
        Assert.Equal(new IdleBehaviour(expiry, refresh), IdleBehaviour.Find(name));

    [Fact]
    public void Find_UnknownName_IsNull() => Assert.Null(IdleBehaviour.Find("reset"));
}
