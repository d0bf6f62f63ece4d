using Keepalive.Config.Balancers;

namespace Keepalive.Simulator.Balancing;

/// <summary>The kind of a packet, as far as it matters to an idle balancer.</summary>
[Flags]
internal enum PacketTraits
{
    /// <summary>An acknowledgement, a keepalive probe, a window update.</summary>
    None = 0,

    /// <summary>The first packet of a connection: SYN without ACK.</summary>
    Opening = 1,

    /// <summary>It has payload that was not sent before.</summary>
    NewPayload = 2,

    /// <summary>RST.</summary>
    Reset = 4,

    /// <summary>A keepalive probe.</summary>
    Probe = 8,
}

/// <summary>The fate of a packet.</summary>
internal enum PacketAction
{
    Forward,

    /// <summary>Dropped without a word.</summary>
    Drop,

    /// <summary>Dropped, and its sender gets a reset.</summary>
    ResetSender,

    /// <summary>Dropped: the balancer's own connection to the sender, which it has closed, answers.</summary>
    AnswerAsClosed,

    /// <summary>Forwarded, and the connection begins anew with it.</summary>
    Open,

    /// <summary>Forwarded, and the connection that had expired is known again.</summary>
    Revive,
}

/// <summary>The packet that the balancer sends by itself when a connection expires.</summary>
internal enum ExpiryAction
{
    Nothing,
    ResetBoth,
    FinBoth,
}

/// <summary>The rule of an idle balancer for one connection: pure transitions, without frames and without a clock of its own.</summary>
/// <remarks>
/// <code>
///           first SYN                       idle timeout passes
///   unknown ─────────► Open ───────────────────────────────────────► Expired ──► forgotten after a while
///                       │  ▲ any packet, payload, or one clock per end  │
///             FIN, RST  │  └────────────────────────────────────────────┘ a new SYN; inside-revives: the client
///                       ▼
///                     Closed
/// </code>
/// An unknown connection that does not begin with a SYN is treated as an expired one: a balancer cannot tell the two apart.
/// </remarks>
internal readonly record struct BalancerRule(TimeSpan IdleTimeout, IdleBehaviour Behaviour)
{
    /// <summary>When it expires, unless something restarts its clock.</summary>
    public TimeSpan Deadline(in FlowClock flow) => IdleTimeout + (Behaviour.Refresh == Refresh.PerDirection
        ? Earlier(flow.Client, flow.Server)
        : Later(flow.Client, flow.Server));

    /// <summary>Whether a packet with these traits restarts the idle clock (with <see cref="Refresh.PerDirection"/>, of its sender).</summary>
    public bool Refreshes(PacketTraits packet) => Behaviour.Refresh != Refresh.PayloadOnly || (packet & (PacketTraits.NewPayload | PacketTraits.Opening)) != 0;

    /// <summary>Decides about a packet of a known connection and moves its clock. An open one past its deadline has to be expired before.</summary>
    public PacketAction OnPacket(ref FlowClock flow, FlowEnd from, PacketTraits packet, TimeSpan now)
    {
        var action = flow.Phase switch
        {
            FlowPhase.Open => Behaviour.DropsProbes && (packet & PacketTraits.Probe) != 0 ? PacketAction.Drop : PacketAction.Forward,
            FlowPhase.Closed => (packet & PacketTraits.Opening) != 0 ? PacketAction.Open : PacketAction.Forward,
            _ when (packet & PacketTraits.Opening) != 0 => Behaviour.Expiry == ExpiryClass.SilentDrop ? PacketAction.Drop : PacketAction.Open,
            _ => OnUnknown(from, packet),
        };
        if (action is PacketAction.Open or PacketAction.Revive)
        {
            flow = FlowClock.StartedAt(now);
        }
        else if (action == PacketAction.Forward && Refreshes(packet))
        {
            if (from == FlowEnd.Client)
            {
                flow.Client = now;
            }
            else
            {
                flow.Server = now;
            }
        }
        return action;
    }

    /// <summary>Decides about a packet of a connection that is not known.</summary>
    public PacketAction OnUnknown(FlowEnd from, PacketTraits packet)
    {
        if ((packet & PacketTraits.Opening) != 0)
        {
            return PacketAction.Open;
        }
        return Behaviour.Expiry switch
        {
            // A reset is never answered with a reset (RFC 9293, section 3.10.7.1).
            ExpiryClass.ResetOnNextPacket => (packet & PacketTraits.Reset) != 0 ? PacketAction.Drop : PacketAction.ResetSender,
            ExpiryClass.FinBoth => (packet & PacketTraits.Reset) != 0 ? PacketAction.Drop : PacketAction.AnswerAsClosed,
            ExpiryClass.InsideRevives when from == FlowEnd.Client => PacketAction.Revive,
            _ => PacketAction.Drop,
        };
    }

    /// <summary>Expires it.</summary>
    /// <returns>The packets that the balancer sends now.</returns>
    public ExpiryAction Expire(ref FlowClock flow)
    {
        flow.Phase = FlowPhase.Expired;
        return Behaviour.Expiry switch
        {
            ExpiryClass.ResetBoth => ExpiryAction.ResetBoth,
            ExpiryClass.FinBoth => ExpiryAction.FinBoth,
            _ => ExpiryAction.Nothing,
        };
    }

    private static TimeSpan Earlier(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private static TimeSpan Later(TimeSpan one, TimeSpan other) => one > other ? one : other;
}
