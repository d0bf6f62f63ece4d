namespace Keepalive.Agent.Top;

/// <summary>The tables of the view.</summary>
internal enum TopTable
{
    Workloads,
    Destinations,
    Connections,
}

/// <summary>The orders of the rows.</summary>
internal enum TopOrder
{
    /// <summary>Trouble first, then by name: a row moves only when its trouble changes.</summary>
    Trouble,
    Name,
    Connections,
    Unprotected,
    NextProbe,
    Unanswered,
    RoundTrip,
    Set,
}

/// <summary>The state of the view, and how keys change it. It draws nothing and reads no clock.</summary>
internal sealed class TopModel
{
    private static readonly int s_orders = Enum.GetValues<TopOrder>().Length;

    private NodeSnapshot? _latest;
    private TopTable _before;
    private string? _keyBefore;
    private string? _selected;
    private int _index;

    /// <summary>The snapshot that is shown; null before the first.</summary>
    public NodeSnapshot? Snapshot { get; private set; }

    public TopTable Table { get; private set; }

    public TopOrder Order { get; private set; }

    /// <summary>Whether the order is turned round.</summary>
    public bool IsReversed { get; private set; }

    /// <summary>Only rows with this text are shown; empty for all.</summary>
    public string Filter { get; private set; } = "";

    /// <summary>Whether keys go into the filter.</summary>
    public bool IsTyping { get; private set; }

    public bool IsPaused { get; private set; }

    public bool ShowsHelp { get; private set; }

    /// <summary>Whether the user has asked to leave.</summary>
    public bool IsOver { get; private set; }

    /// <summary>The connections that the table lists; null if it lists none.</summary>
    public Focus? Focus { get; private set; }

    /// <summary>The rows that the filter passes, in order.</summary>
    public IReadOnlyList<TopRow> Rows { get; private set; } = [];

    /// <summary>The rows without the filter.</summary>
    public int All { get; private set; }

    /// <summary>The index of the selected row; -1 without rows.</summary>
    public int Index => Rows.Count == 0 ? -1 : _index;

    /// <summary>The rows that a page has, for the keys that move by pages.</summary>
    public int PageRows { get; set; } = 10;

    /// <summary>The milliseconds since the snapshot was read that the view has counted down, set by the screen. It stops while the view is
    /// paused.</summary>
    public long Elapsed { get; set; }

    /// <summary>Shows a new snapshot, or keeps it for later if the view is paused.</summary>
    public void Show(NodeSnapshot snapshot)
    {
        _latest = snapshot;
        // What was asked for is shown also while the view is paused.
        if (!IsPaused || Snapshot is null || snapshot.Focus != Snapshot.Focus)
        {
            Snapshot = snapshot;
            Update();
        }
    }

    /// <summary>Takes a key.</summary>
    public void Press(ConsoleKeyInfo key)
    {
        if (IsTyping)
        {
            Type(key);
        }
        else if (ShowsHelp)
        {
            ShowsHelp = false;
            IsOver = key.KeyChar == 'q';
        }
        else if (!Move(key.Key, key.KeyChar))
        {
            Command(key);
        }
    }

    private void Type(ConsoleKeyInfo key)
    {
        switch (key.Key)
        {
            case ConsoleKey.Enter:
                IsTyping = false;
                break;
            case ConsoleKey.Escape:
                (IsTyping, Filter) = (false, "");
                break;
            case ConsoleKey.Backspace:
                IsTyping = Filter.Length > 0;
                Filter = Filter.Length > 0 ? Filter[..^1] : "";
                break;
            default:
                Filter += char.IsControl(key.KeyChar) || Filter.Length >= 60 ? "" : key.KeyChar;
                break;
        }
        Update();
    }

    private bool Move(ConsoleKey key, char character)
    {
        int? to = (key, character) switch
        {
            (ConsoleKey.UpArrow, _) or (_, 'k') => _index - 1,
            (ConsoleKey.DownArrow, _) or (_, 'j') => _index + 1,
            (ConsoleKey.PageUp, _) => _index - PageRows,
            (ConsoleKey.PageDown, _) => _index + PageRows,
            (ConsoleKey.Home, _) or (_, 'g') => 0,
            (ConsoleKey.End, _) or (_, 'G') => Rows.Count - 1,
            _ => null,
        };
        if (to is { } index)
        {
            Select(index);
        }
        return to is not null;
    }

    private void Command(ConsoleKeyInfo key)
    {
        switch (key.KeyChar, key.Key)
        {
            case ('q', _):
                IsOver = true;
                break;
            case ('?' or 'h', _):
                ShowsHelp = true;
                break;
            case ('/', _):
                IsTyping = true;
                break;
            case (' ' or 'p', _):
                IsPaused = !IsPaused;
                Snapshot = _latest;
                Update();
                break;
            case ('s', _):
                Sort((int)Order + 1);
                break;
            case ('S', _):
                Sort((int)Order + s_orders - 1);
                break;
            case ('r', _):
                IsReversed = !IsReversed;
                Update();
                break;
            case (_, ConsoleKey.Tab):
                Leave(Table == TopTable.Workloads ? TopTable.Destinations : TopTable.Workloads, null);
                break;
            case (_, ConsoleKey.Enter):
                Open();
                break;
            case (_, ConsoleKey.Escape or ConsoleKey.Backspace):
                Back();
                break;
        }
    }

    private void Sort(int order)
    {
        (Order, IsReversed) = ((TopOrder)(order % s_orders), false);
        Update();
    }

    private void Open()
    {
        if (Index >= 0 && Rows[Index].Opens is { } focus)
        {
            (_before, _keyBefore) = (Table, _selected);
            (Table, Focus, Filter, _selected, _index) = (TopTable.Connections, focus, "", null, 0);
            Update();
        }
    }

    private void Back()
    {
        if (Filter.Length > 0)
        {
            Filter = "";
            Update();
        }
        else if (Table == TopTable.Connections)
        {
            Leave(_before, _keyBefore);
        }
    }

    private void Leave(TopTable table, string? selected)
    {
        (Table, Focus, Filter, _selected, _index) = (table, null, "", selected, 0);
        Update();
    }

    private void Select(int index)
    {
        _index = Math.Clamp(index, 0, Math.Max(0, Rows.Count - 1));
        _selected = Rows.Count == 0 ? null : Rows[_index].Key;
    }

    /// <summary>Makes the rows again. The selection stays on the same workload, destination or connection. If that is gone, it stays on the
    /// same line.</summary>
    private void Update()
    {
        if (Snapshot is not { } shown)
        {
            return;
        }
        var rows = Table switch
        {
            TopTable.Workloads => TopRows.Workloads(shown.Overview),
            TopTable.Destinations => TopRows.Destinations(shown.Overview),
            _ when shown.Connections is { } connections && shown.Focus == Focus => TopRows.Connections(shown.Overview, connections, Focus!.Value),
            _ => [],
        };
        List<TopRow> all = [.. rows];
        All = all.Count;
        Rows = [.. Sorted(all.Where(Passes))];
        var at = _selected is null ? -1 : IndexOf(_selected);
        // Without a choice of the user the first row is selected, whichever it is.
        if (_selected is not null || _index > 0)
        {
            Select(at >= 0 ? at : _index);
        }
        else
        {
            _index = 0;
        }
    }

    private int IndexOf(string key)
    {
        for (var i = 0; i < Rows.Count; i++)
        {
            if (Rows[i].Key == key)
            {
                return i;
            }
        }
        return -1;
    }

    private bool Passes(TopRow row) => Filter.Length == 0
        || row.Name.Contains(Filter, StringComparison.OrdinalIgnoreCase)
        || row.Other.Contains(Filter, StringComparison.OrdinalIgnoreCase)
        || row.Detail.Contains(Filter, StringComparison.OrdinalIgnoreCase)
        || row.Why?.Contains(Filter, StringComparison.OrdinalIgnoreCase) == true;

    private IEnumerable<TopRow> Sorted(IEnumerable<TopRow> rows)
    {
        var ordered = Order switch
        {
            TopOrder.Trouble => Turn(rows, static row => -(long)row.Trouble),
            TopOrder.Connections => Turn(rows, static row => -row.Connections),
            TopOrder.Unprotected => Turn(rows, static row => -row.Unprotected),
            TopOrder.NextProbe => Turn(rows, static row => row.NextProbe ?? long.MaxValue),
            TopOrder.Unanswered => Turn(rows, static row => -row.Unanswered),
            TopOrder.RoundTrip => Turn(rows, static row => -(long)((row.RoundTrip ?? 0) * 1000)),
            TopOrder.Set => Turn(rows, static row => -(row.Set ?? 0)),
            _ => Turn(rows, static _ => 0L),
        };
        var byName = IsReversed && Order == TopOrder.Name
            ? ordered.ThenByDescending(static row => row.Name, StringComparer.Ordinal)
            : ordered.ThenBy(static row => row.Name, StringComparer.Ordinal);
        return byName.ThenBy(static row => row.Other, StringComparer.Ordinal).ThenBy(static row => row.Key, StringComparer.Ordinal);
    }

    private IOrderedEnumerable<TopRow> Turn(IEnumerable<TopRow> rows, Func<TopRow, long> by) =>
        IsReversed ? rows.OrderByDescending(by) : rows.OrderBy(by);
}
