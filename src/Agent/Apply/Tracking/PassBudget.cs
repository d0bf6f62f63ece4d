using System.Runtime.InteropServices;
using Keepalive.Agent.Workloads;

namespace Keepalive.Agent.Apply.Tracking;

/// <summary>The time that a pass may use for each <see cref="Accountable"/> owner, and for all of them together. Work beyond it waits for
/// the next pass.</summary>
internal sealed class PassBudget
{
    /// <summary>The share of one owner in a pass that others follow. A search over ten thousand descriptors takes about that
    /// long.</summary>
    private static readonly TimeSpan s_share = TimeSpan.FromMilliseconds(50);

    /// <summary>The same in a start, when an owner has all of its sockets to be set. A pass also costs a dump, so short shares are
    /// wasteful.</summary>
    private static readonly TimeSpan s_startShare = TimeSpan.FromMilliseconds(200);

    /// <summary>The limit for all other owners together in a pass of a start. Beyond it, each has <see cref="s_share"/>.</summary>
    private static readonly TimeSpan s_startTogether = TimeSpan.FromSeconds(2);

    /// <summary>The share of root's own processes.</summary>
    private static readonly TimeSpan s_shareOfTheNode = TimeSpan.FromMilliseconds(500);

    /// <summary>The limit for all other owners together.</summary>
    private static readonly TimeSpan s_together = TimeSpan.FromMilliseconds(300);

    /// <summary>The time that an owner without a debt has in every pass, however much the others use.</summary>
    private static readonly TimeSpan s_least = TimeSpan.FromMilliseconds(5);

    /// <summary>The share of one owner in the last pass: a stop of the service waits for it.</summary>
    private static readonly TimeSpan s_lastShare = TimeSpan.FromMilliseconds(300);

    /// <summary>The share of one owner in the only pass, for which a user waits.</summary>
    private static readonly TimeSpan s_onlyShare = TimeSpan.FromSeconds(10);

    /// <summary>The number of passes after a pass that used up the limit for all. In them, an owner with a debt of a share or more
    /// waits.</summary>
    private const int Remembered = 10;

    /// <summary>The most passes that an owner waits because of its debt.</summary>
    private const int MaxWait = 10;

    /// <summary>An owner is reported after this many passes in which its time was used up. A pass in which it was not lowers the count by
    /// one.</summary>
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
    private TimeSpan _least = s_least;
    private int _pressed;
    private bool _isStart;

    /// <param name="time">The clock.</param>
    public PassBudget(TimeProvider time) => _time = time;

    /// <summary>The owners whose time is regularly used up, in words; null if there are none.</summary>
    public string? Excess { get; private set; }

    /// <summary>Begins a pass that others follow. Time used until now counts for the pass before.</summary>
    public void BeginPass() => BeginPass(new PassScope());

    /// <summary>Begins a pass of any kind.</summary>
    public void BeginPass(PassScope scope)
    {
        var isStart = scope is { Only: false, Last: false } && (scope.Full || scope.Continues);
        _share = scope.Only ? s_onlyShare : scope.Last ? s_lastShare : isStart ? s_startShare : s_share;
        _shareOfTheNode = scope.Only ? s_onlyShare : scope.Last ? 2 * s_shareOfTheNode : s_shareOfTheNode;
        _pressed = _isStart || scope is not { Full: false, Continues: false, Only: false, Last: false } ? 0
            : _together >= s_together ? Remembered : Math.Max(_pressed - 1, 0);
        _together = TimeSpan.Zero;
        _current = null;
        foreach (var account in _accounts.Values)
        {
            account.Turn(_isStart);
            if (account.IsForgotten)
            {
                _accounts.Remove(account.Name);
            }
        }
        _nodes.Turn(_isStart);
        _isStart = isStart;
        (_shareOfAll, _least) = isStart ? (s_startTogether, s_share) : scope.Full ? (TimeSpan.MaxValue, s_least) : (s_together, s_least);
        Excess = Say();
    }

    /// <summary>Charges an account from now on; null is the node's.</summary>
    public void Charge(string? name)
    {
        Stop();
        _current = name is null ? _nodes : Of(name);
        _begun = _time.GetTimestamp();
    }

    /// <summary>Charges no account from now on.</summary>
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

    /// <summary>Whether the time of the charged account is used up.</summary>
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
                : own >= _share || (own >= _least && _together + now >= _shareOfAll) || (_pressed > 0 && _current.Owes >= s_share);
            _current.IsLate |= spent;
            return spent;
        }
    }

    /// <summary>The time that passes have used on an account; the last passes count most.</summary>
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

        /// <summary>The debt: time used beyond its shares, as one piece of work may take longer than a share. A debt of less than a share
        /// has no effect: on a busy machine any work is interrupted for some time.</summary>
        public TimeSpan Owes { get; private set; }

        public bool IsLate { get; set; }

        public int LatePasses { get; private set; }

        public bool IsForgotten => LatePasses == 0 && Owes == TimeSpan.Zero && Before < TimeSpan.FromMilliseconds(1);

        /// <param name="isStart">Whether the pass was part of a start. Every owner has much to do then, once.</param>
        public void Turn(bool isStart)
        {
            var owes = isStart ? TimeSpan.Zero : Owes + Spent - s_share;
            Owes = owes <= TimeSpan.Zero ? TimeSpan.Zero : owes < MaxWait * s_share ? owes : MaxWait * s_share;
            LatePasses = IsLate && !isStart ? Math.Min(LatePasses + 1, 2 * Habit) : Math.Max(LatePasses - 1, 0);
            (Before, Spent, IsLate) = ((Before / 2) + Spent, TimeSpan.Zero, false);
        }
    }
}
