using Keepalive.Config.Balancers;
using Keepalive.Simulator.Discover;
using Xunit;

namespace Keepalive.Simulator.Tests.Discover;

/// <summary>The conclusions from observations of connections behind a balancer with an idle timeout of 100 s.</summary>
public sealed class EvidenceTests
{
    private readonly Evidence _evidence = new();

    [Theory]
    [InlineData("Reset", ExpiryClass.ResetOnNextPacket)]
    [InlineData("Silent", ExpiryClass.SilentDrop)]
    public void Tests_AroundTheTimeout_GiveItsBracketAndItsClass(string answer, ExpiryClass expected)
    {
        Quiet(IdleAnswer.Alive, 50);
        Quiet(IdleAnswer.Alive, 98);
        Quiet(Enum.Parse<IdleAnswer>(answer), 101);
        Quiet(Enum.Parse<IdleAnswer>(answer), 140);
        _evidence.ControlAge = Seconds(130);

        Assert.Equal(new Bracket(Seconds(97.98), Seconds(101.02)), _evidence.Timeout);
        Assert.Equal([expected], _evidence.Classes(opensAnew: false));
        Assert.True(_evidence.ProbesCount);
    }

    [Fact]
    public void Silent_SynNotTried_LeavesTwoClasses()
    {
        Quiet(IdleAnswer.Silent, 101);

        Assert.Equal([ExpiryClass.SilentDrop, ExpiryClass.DropUntilSyn], _evidence.Classes(opensAnew: null));
        Assert.Equal([ExpiryClass.DropUntilSyn], _evidence.Classes(opensAnew: true));
    }

    [Fact]
    public void Nothing_Forgotten_HasNoClassAndNoUpperEnd()
    {
        Quiet(IdleAnswer.Alive, 1200);

        Assert.Equal(new Bracket(Seconds(1199.98), null), _evidence.Timeout);
        Assert.Empty(_evidence.Classes(null));
        Assert.False(_evidence.ProbesCount);
    }

    /// <summary>A connection that ends by itself also shows that it was known until then.</summary>
    [Theory]
    [InlineData("ClosedByItself", ExpiryClass.FinBoth)]
    [InlineData("ResetByItself", ExpiryClass.ResetBoth)]
    public void Ends_ByThemselves_GiveTheTimeoutAlone(string answer, ExpiryClass expected)
    {
        for (var number = 0; number < 3; number++)
        {
            // One or two that end are no rule.
            Assert.Null(_evidence.Timeout.To);
            Quiet(Enum.Parse<IdleAnswer>(answer), 100, blur: 0.05);
        }

        Assert.Equal(new Bracket(Seconds(99.93), Seconds(100.02)), _evidence.Timeout);
        Assert.Equal([expected], _evidence.Classes(null));
    }

    /// <summary>A lost reset must not make another class of it.</summary>
    [Fact]
    public void Ends_ByThemselvesAndOneReset_Lost_AreStillThatClass()
    {
        Quiet(IdleAnswer.ResetByItself, 100, blur: 0.05);
        Quiet(IdleAnswer.ResetByItself, 100.02, blur: 0.05);
        Quiet(IdleAnswer.ResetByItself, 100.01, blur: 0.05);
        Quiet(IdleAnswer.Silent, 130);

        Assert.Equal([ExpiryClass.ResetBoth], _evidence.Classes(false));
        Assert.Equal(Seconds(100.02), _evidence.Timeout.To);
    }

    /// <summary>A probed connection was forgotten as early as the quiet ones.</summary>
    [Fact]
    public void Control_EndsWithTheOthers_OnlyPayloadCounts()
    {
        Quiet(IdleAnswer.ClosedByItself, 100, blur: 0.05);
        Quiet(IdleAnswer.ClosedByItself, 100, blur: 0.05);
        _evidence.AddControl(new Observation(IdleAnswer.ClosedByItself, Seconds(100), Seconds(1), Seconds(100), default));

        Assert.True(_evidence.IsPayloadOnly);
        Assert.Equal(Seconds(100.02), _evidence.Timeout.To);
        Assert.Null(_evidence.FarEndCloses);
    }

    /// <summary>A connection that was tested at 60 s was forgotten 45 s later, and another survived 95 s without a packet.</summary>
    [Fact]
    public void Tested_ForgottenSoonerThanQuietOnes_OnlyPayloadCounts()
    {
        Quiet(IdleAnswer.Alive, 60);
        Quiet(IdleAnswer.Alive, 95);
        _evidence.Add(new Observation(IdleAnswer.Silent, Seconds(105), Seconds(45), Seconds(105), default));

        Assert.True(_evidence.IsPayloadOnly);
        Assert.Equal(new Bracket(Seconds(94.98), Seconds(105.02)), _evidence.Timeout);
    }

    /// <summary>The far end closes later than the balancer forgets: only the probed connection lives to see it.</summary>
    [Fact]
    public void Control_ClosedMuchLater_IsTheFarEnds()
    {
        Quiet(IdleAnswer.Alive, 98);
        Quiet(IdleAnswer.Silent, 101);
        _evidence.ControlAge = Seconds(300);
        _evidence.AddControl(new Observation(IdleAnswer.ClosedByItself, Seconds(300), Seconds(1), Seconds(300), default));
        Assert.Null(_evidence.FarEndCloses);
        _evidence.AddControl(new Observation(IdleAnswer.ClosedByItself, Seconds(303), Seconds(1), Seconds(300.2), default));

        Assert.Equal(Seconds(300), _evidence.FarEndCloses);
        Assert.Equal(new Bracket(Seconds(97.98), Seconds(101.02)), _evidence.Timeout);
        Assert.True(_evidence.ProbesCount);
    }

    /// <summary>Every test finds a known connection, but what the far end sends first does not arrive.</summary>
    [Fact]
    public void FarEnd_ItsPacketsMissingAfterTheTimeout_InsideRevives()
    {
        Quiet(IdleAnswer.Alive, 500);
        _evidence.AddOutside(arrived: true, Seconds(95));
        foreach (var idle in (double[])[104, 120, 200])
        {
            Assert.False(_evidence.IsOutsideOnly);
            _evidence.AddOutside(arrived: false, Seconds(idle));
        }

        Assert.Equal([ExpiryClass.InsideRevives], _evidence.Classes(null));
        Assert.Equal(new Bracket(Seconds(95), Seconds(104)), _evidence.Timeout);
    }

    /// <summary>Regression: a far end that sent something on one connection alone made a balancer of it that drops everything.</summary>
    [Fact]
    public void FarEnd_ItsPacketsArriveNowhere_ProvesNothing()
    {
        Quiet(IdleAnswer.Alive, 500);
        foreach (var idle in (double[])[4, 5, 6, 7])
        {
            _evidence.AddOutside(arrived: false, Seconds(idle));
        }

        Assert.False(_evidence.IsOutsideOnly);
        Assert.Empty(_evidence.Classes(null));
    }

    [Fact]
    public void FarEnd_Gone_WhatWasSeenSinceDoesNotCount()
    {
        Quiet(IdleAnswer.Alive, 50);
        Quiet(IdleAnswer.Silent, 52);
        _evidence.ForgetSince(Seconds(51));

        Assert.Equal(new Bracket(Seconds(49.98), null), _evidence.Timeout);
        Assert.Empty(_evidence.Classes(null));
    }

    [Fact]
    public void Quiet_ForgottenAtVeryDifferentTimes_IsContradictory()
    {
        Quiet(IdleAnswer.Alive, 95);
        Quiet(IdleAnswer.Reset, 20);

        Assert.True(_evidence.IsContradictory);
    }

    /// <summary>Adds a connection that was quiet since it was opened.</summary>
    private void Quiet(IdleAnswer answer, double idle, double blur = 0) =>
        _evidence.Add(new Observation(answer, Seconds(idle), Seconds(idle), Seconds(idle), Seconds(blur)));

    private static TimeSpan Seconds(double seconds) => TimeSpan.FromMilliseconds(Math.Round(1000 * seconds));
}
