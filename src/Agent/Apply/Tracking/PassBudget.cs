using System.Runtime.InteropServices;
using Keepalive.Agent.Workloads;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>How long a pass may work for each that is <see cref="Accountable"/>, and for all of them together. What is left over waits for the next pass.</summary>
internal sealed class PassBudget
{
    /// <summary>Of a pass that others follow. A search over ten thousand descriptors takes about that long.</summary>
    private static readonly TimeSpan s_share = TimeSpan.FromMilliseconds(50);

    /// <summary>The same for root's own processes.</summary>
    private static readonly TimeSpan s_shareOfTheNode = TimeSpan.FromMilliseconds(500);

    /// <summary>For all others together.</summary>
    private static readonly TimeSpan s_together = TimeSpan.FromMilliseconds(300);

    /// <summary>What each that owes nothing has of every pass, however much the others take.</summary>
    private static readonly TimeSpan s_least = TimeSpan.FromMilliseconds(5);

    /// <summary>Of the last pass, which whoever stops the service waits for.</summary>
    private static readonly TimeSpan s_lastShare = TimeSpan.FromMilliseconds(300);

    /// <summary>Of a pass that none follows and that a user waits for.</summary>
    private static readonly TimeSpan s_onlyShare = TimeSpan.FromSeconds(10);

    /// <summary>Passes after one that was too long for everybody, in which whoever has taken more than a share waits until it has been made up for.</summary>
    private const int Remembered = 10;

    /// <summary>Passes that anybody waits for that at most.</summary>
    private const int LongestWait = 10;

    /// <summary>Passes in a row with something left over, after which that is worth a word.</summary>
    private const int Habit = 10;

    private readonly TimeProvider _time;
    private readonly Dictionary<string, Account> _accounts = [];
    private readonly Account _nodes = new("");
    private Account? _current;
    private long _begun;
    private TimeSpan _together;
    private TimeSpan _share = s_share;
    private TimeSpan _shareOfTheNode = s_shareOfTheNode;
    private TimeSpan _shareOfAll = TimeSpan.MaxValue;
    private int _pressed;

    /// <param name="time">The clock.</param>
    public PassBudget(TimeProvider time) => _time = time;

    /// <summary>Who always wants more time than there is, in words; null where nobody does.</summary>
    public string? Excess { get; private set; }

    /// <summary>What was spent was spent by the pass before: now comes one that others follow.</summary>
    public void BeginPass() => BeginPass(new PassScope());

    /// <summary>The same before a pass of any kind.</summary>
    public void BeginPass(PassScope scope)
    {
        _share = scope.Only ? s_onlyShare : scope.Last ? s_lastShare : s_share;
        _shareOfTheNode = scope.Only ? s_onlyShare : scope.Last ? 2 * s_shareOfTheNode : s_shareOfTheNode;
        _shareOfAll = scope.Full ? TimeSpan.MaxValue : s_together;
        _pressed = scope is { Full: false, Only: false, Last: false } ? _together >= s_together ? Remembered : Math.Max(_pressed - 1, 0) : 0;
        _together = TimeSpan.Zero;
        _current = null;
        foreach (var account in _accounts.Values)
        {
            account.Turn();
            if (account.IsForgotten)
            {
                _accounts.Remove(account.Name);
            }
        }
        _nodes.Turn();
        Excess = Say();
    }

    /// <summary>Works on somebody's account from here on, null is the node's.</summary>
    public void Charge(string? name)
    {
        Stop();
        _current = name is null ? _nodes : Of(name);
        _begun = _time.GetTimestamp();
    }

    /// <summary>Works on nobody's account from here on.</summary>
    public void Stop()
    {
        if (_current is not null)
        {
            var spent = _time.GetElapsedTime(_begun);
            _current.Spent += spent;
            _together += _current == _nodes ? TimeSpan.Zero : spent;
            _current = null;
        }
    }

    /// <summary>Whether whoever is worked for has to wait.</summary>
    public bool IsSpent
    {
        get
        {
            if (_current is null)
            {
                return false;
            }
            var now = _time.GetElapsedTime(_begun);
            var own = _current.Spent + now;
            var spent = _current == _nodes ? own >= _shareOfTheNode
                : own >= _share || (own >= s_least && _together + now >= _shareOfAll) || (_pressed > 0 && _current.Owes >= s_share);
            _current.IsLate |= spent;
            return spent;
        }
    }

    /// <summary>What the passes until now have cost on somebody's account, the last ones most.</summary>
    public TimeSpan Cost(string? name) => name is not null && _accounts.TryGetValue(name, out var account) ? account.Before : TimeSpan.Zero;

    private Account Of(string name)
    {
        ref var account = ref CollectionsMarshal.GetValueRefOrAddDefault(_accounts, name, out _);
        return account ??= new Account(name);
    }

    private string? Say()
    {
        var names = _accounts.Values.Where(account => account.LatePasses >= Habit).Select(account => account.Name).Order(StringComparer.Ordinal).Take(5).ToList();
        return names.Count == 0 ? null : $"{string.Join(", ", names)}: over the time budget in {Habit} passes: new connections there are set late. Other workloads are not affected";
    }

    private sealed class Account(string name)
    {
        public string Name { get; } = name;

        public TimeSpan Spent { get; set; }

        public TimeSpan Before { get; private set; }

        /// <summary>What it has taken beyond its shares: one piece of work may take more than there is time for. It counts from a share on: on a busy machine
        /// anybody's work is interrupted for some time.</summary>
        public TimeSpan Owes { get; private set; }

        public bool IsLate { get; set; }

        public int LatePasses { get; private set; }

        public bool IsForgotten => LatePasses == 0 && Owes == TimeSpan.Zero && Before < TimeSpan.FromMilliseconds(1);

        public void Turn()
        {
            var owes = Owes + Spent - s_share;
            Owes = owes <= TimeSpan.Zero ? TimeSpan.Zero : owes < LongestWait * s_share ? owes : LongestWait * s_share;
            LatePasses = IsLate ? Math.Min(LatePasses + 1, 2 * Habit) : Math.Max(LatePasses - 1, 0);
            (Before, Spent, IsLate) = ((Before / 2) + Spent, TimeSpan.Zero, false);
        }
    }
}
