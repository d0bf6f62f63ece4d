using System.Net;
using System.Net.Sockets;

namespace Keepalive.Simulator.Discover;

/// <summary>Opens connections, as long as the far end takes them.</summary>
internal sealed class Openings(DiscoverRequest request, List<ProbedConnection> idle, Controls controls, Evidence evidence, Handshakes handshakes, ConnectionBudget budget, LadderPlan plan)
{
    /// <summary>So many connections have to end at once before they live for long.</summary>
    private const int LeastClosedAtOnce = 3;

    /// <summary>Ends are held back for a moment.</summary>
    private static readonly TimeSpan s_held = TimeSpan.FromMilliseconds(420);

    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_gone = TimeSpan.FromSeconds(5);

    private int _closedAtOnce;

    /// <summary>Why nothing can be measured any more; null if it can.</summary>
    public string? Cut { get; private set; }

    private IEnumerable<ProbedConnection> Live => idle.Concat(controls.Open).Where(one => one.Phase is ProbedPhase.Idle or ProbedPhase.Testing);

    /// <summary>Opens the next, if one is needed and allowed.</summary>
    public void Open(PayloadTrial? trial, Func<IPEndPoint, IPEndPoint?, IProbeSocket> connect, Func<TimeSpan> time)
    {
        var now = time();
        var isControl = controls.IsDue(now) && trial is null && (controls.Open.Count == 0 || budget.Limit > 3);
        var isTrial = !isControl && trial?.NeedsConnection == true;
        var isIdle = trial is null && budget.Opened > 0 && budget.Allows(idle.Count + controls.Open.Count, now) && plan.NeedsConnection(budget, handshakes.RoundTrip, now);
        if (!(isControl || isTrial || isIdle) || budget.IsPausing(now) || !request.Pace.TryTake())
        {
            return;
        }
        try
        {
            var one = new ProbedConnection(connect(request.Remote, null), now, time);
            if (isControl)
            {
                controls.Add(one);
            }
            else if (isTrial)
            {
                trial!.Add(one);
            }
            else
            {
                one.Target = evidence.Timeout.To is null ? plan.NextRung() : null;
                idle.Add(one);
            }
            budget.Open();
        }
        catch (SocketException e)
        {
            Refused(e.SocketErrorCode, isSettled: true, now);
        }
    }

    /// <summary>Takes notice of a connection that could not be opened.</summary>
    /// <param name="error">Why.</param>
    /// <param name="isSettled">Whether it is known if everything has changed; if not, that is found out first.</param>
    /// <param name="now">The time.</param>
    public void Refused(SocketError error, bool isSettled, TimeSpan now)
    {
        var why = ConnectionBudget.Words(error);
        if (!handshakes.IsAnyOpen)
        {
            Cut = why;
            return;
        }
        Limited(why, now);
        var way = controls.Way(handshakes.RoundTrip);
        if (!isSettled || now - budget.RefusedSince < s_gone)
        {
            return;
        }
        if (!Live.Any() && evidence.Timeout.To is null)
        {
            Cut = $"the far end is gone: {why}";
            evidence.ForgetSince(way.Heard);
        }
        else if (error == SocketError.TimedOut && !way.IsDeaf && !way.IsHeard(now) && now - way.Heard > s_gone * 2)
        {
            Cut = FormattableString.Invariant($"nothing has answered since {way.Heard.TotalSeconds:0.0} s");
            evidence.ForgetSince(way.Heard);
        }
    }

    /// <summary>Whether the far end closes connections as soon as they are open: all, or those beyond a limit.</summary>
    public bool IsClosedAtOnce(ProbedConnection one, in Observation seen, TimeSpan now)
    {
        var life = seen.At - one.OpenedAt;
        if (!seen.EndedByItself || life > s_second)
        {
            return false;
        }
        if (Live.Any(other => now - other.OpenedAt > (life * 3) + s_held + (handshakes.RoundTrip * 2)))
        {
            Limited("the far end closes further connections at once", now);
            return true;
        }
        if (++_closedAtOnce >= LeastClosedAtOnce && evidence.Survived.Any == TimeSpan.Zero)
        {
            Cut = $"the far end {(seen.Answer == IdleAnswer.ClosedByItself ? "closes" : "resets")} connections at once{(request.Payload.Length > 0 ? " after the payload" : "")}";
        }
        return evidence.Survived.Any == TimeSpan.Zero;
    }

    private void Limited(string why, TimeSpan now) => budget.Refuse(why, Live.Count(), now);
}
