using Keepalive.Agent.Reports;
using Keepalive.Agent.Top;
using Xunit;
using static Keepalive.Agent.Tests.Top.Overviews;

namespace Keepalive.Agent.Tests.Top;

/// <summary>The state of the live view, and how keys change it.</summary>
public sealed class TopModelTests
{
    private static readonly OverviewGroup[] s_three = [Group("unit:a.service", "x"), Group("unit:b.service", "y"), Group("unit:c.service", "z")];

    [Fact]
    public void Rows_ByDefault_HaveTroubleFirstAndThenNames()
    {
        var model = Show(Snapshot(Group("unit:b.service", "x", 900), Group("unit:a.service", "x"), Unprotected("unit:d.service", "x", 2), Probing("unit:e.service", "x", 1)));
        Assert.Equal(["unit:e.service", "unit:d.service", "unit:a.service", "unit:b.service"], model.Rows.Select(row => row.Name));
    }

    /// <summary>Numbers that change every second move no row.</summary>
    [Fact]
    public void Rows_WhenCountsAndTimersChange_KeepTheirPlaces()
    {
        var model = Show(Snapshot(s_three));
        var before = model.Rows.Select(row => row.Name).ToList();
        model.Show(Snapshot([s_three[2] with { Connections = 50, NextProbeMs = 1 }, s_three[0] with { NextProbeMs = 59_000, RttMs = 80 }, s_three[1]]));
        Assert.Equal(before, model.Rows.Select(row => row.Name));
    }

    [Fact]
    public void Selection_WhenRowsComeAbove_StaysOnTheWorkload()
    {
        var model = Show(Snapshot(s_three));
        model.Press(ConsoleKey.DownArrow);
        Assert.Equal("unit:b.service", model.Rows[model.Index].Name);
        model.Show(Snapshot([Probing("unit:z.service", "x", 2), Group("unit:a1.service", "x"), .. s_three]));
        Assert.Equal("unit:b.service", model.Rows[model.Index].Name);
        Assert.Equal(3, model.Index);
    }

    [Fact]
    public void Selection_WhenItsWorkloadIsGone_StaysOnTheLine()
    {
        var model = Show(Snapshot(s_three));
        model.Press(ConsoleKey.End);
        model.Show(Snapshot(s_three[..2]));
        Assert.Equal("unit:b.service", model.Rows[model.Index].Name);
        model.Show(Snapshot());
        Assert.Equal(-1, model.Index);
        model.Press(ConsoleKey.DownArrow, ConsoleKey.Enter);
        Assert.Equal(TopTable.Workloads, model.Table);
    }

    [Fact]
    public void Sort_ByConnections_ReversesAndReturns()
    {
        var model = Show(Snapshot(Group("unit:a.service", "x", 5), Group("unit:b.service", "x", 50), Group("unit:c.service", "x", 7)));
        model.Press("ss");
        Assert.Equal(TopOrder.Connections, model.Order);
        Assert.Equal(["unit:b.service", "unit:c.service", "unit:a.service"], model.Rows.Select(row => row.Name));
        model.Press("r");
        Assert.Equal(["unit:a.service", "unit:c.service", "unit:b.service"], model.Rows.Select(row => row.Name));
        model.Press("SS");
        Assert.Equal(TopOrder.Trouble, model.Order);
        Assert.False(model.IsReversed);
    }

    [Fact]
    public void Filter_Typed_KeepsMatchingRowsUntilEscape()
    {
        var model = Show(Snapshot(s_three));
        model.Press("/B.Sq");
        Assert.Empty(model.Rows);
        Assert.False(model.IsOver);
        model.Press(ConsoleKey.Backspace);
        Assert.Equal("unit:b.service", Assert.Single(model.Rows).Name);
        Assert.Equal(3, model.All);
        model.Press(ConsoleKey.Enter);
        Assert.False(model.IsTyping);
        model.Press(ConsoleKey.Escape);
        Assert.Equal(3, model.Rows.Count);
    }

    [Fact]
    public void Pause_NewData_IsShownWhenItEnds()
    {
        var model = Show(Snapshot(s_three));
        model.Press(" ");
        model.Show(Snapshot(s_three[..1]));
        Assert.Equal(3, model.Rows.Count);
        model.Press("p");
        Assert.Single(model.Rows);
    }

    [Fact]
    public void Enter_OnAWorkload_ListsItsConnectionsAndEscapeReturnsToIt()
    {
        var model = Show(Snapshot(s_three));
        model.Press(ConsoleKey.DownArrow, ConsoleKey.Enter);
        Assert.Equal((TopTable.Connections, new Focus("unit:b.service", null)), (model.Table, model.Focus));
        Assert.Empty(model.Rows);
        model.Show(Snapshot(s_three).With(model.Focus!.Value, Connection(2, "10.0.0.1:40001", "10.0.0.2:443"), Connection(1, "10.0.0.1:40000", "10.0.0.2:443")));
        Assert.Equal(["10.0.0.1:40000", "10.0.0.1:40001"], model.Rows.Select(row => row.Name));
        model.Press(ConsoleKey.Escape);
        Assert.Equal((TopTable.Workloads, null), (model.Table, model.Focus));
        Assert.Equal("unit:b.service", model.Rows[model.Index].Name);
    }

    /// <summary>Connections that arrive late belong to another row.</summary>
    [Fact]
    public void Connections_OfAnEarlierRequest_AreNotShown()
    {
        var model = Show(Snapshot(s_three));
        model.Press(ConsoleKey.Enter);
        model.Show(Snapshot(s_three).With(new Focus("unit:c.service", null), Connection(1, "10.0.0.1:40000", "10.0.0.2:443")));
        Assert.Empty(model.Rows);
    }

    [Fact]
    public void Tab_TurnsToDestinationsWithTheirWorkloads()
    {
        var model = Show(Snapshot(Group("unit:a.service", "ratings", 3), Group("unit:b.service", "ratings", 4), Unprotected("unit:b.service", "10.0.0.9:5432", 2)));
        model.Press(ConsoleKey.Tab);
        Assert.Equal([("10.0.0.9:5432", "unit:b.service", 2), ("ratings", "2 workloads", 7)], model.Rows.Select(row => (row.Name, row.Other, row.Connections)));
    }

    [Fact]
    public void Destination_WithAnEndpointOutOfThePool_IsInTrouble()
    {
        var snapshot = Snapshot(Group("unit:a.service", "reviews"), Group("unit:a.service", "ratings"));
        var model = Show(snapshot with { Overview = snapshot.Overview with { Out = [new("10.0.0.2:443", "shop/keepalive", "reviews", 5000, 1, 1, 1)] } });
        model.Press(ConsoleKey.Tab);
        Assert.Equal(RowTrouble.Unanswered, model.Rows[0].Trouble);
        Assert.Equal("reviews", model.Rows[0].Name);
    }

    [Theory]
    [InlineData('q', true)]
    [InlineData('x', false)]
    public void Key_Quits_OnlyWithQ(char key, bool isOver)
    {
        var model = Show(Snapshot(s_three));
        model.Press([key]);
        Assert.Equal(isOver, model.IsOver);
    }
}
