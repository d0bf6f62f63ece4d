using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Virtual;

/// <content>Requests and what becomes of them; connections made and ended by clients.</content>
internal sealed partial class Block
{
    private void Send(ref VirtualConnection connection, int client, long now)
    {
        connection.Request = RequestPhase.Sent;
        connection.Retransmissions = 0;
        Attempt(ref connection, client, now);
    }

    /// <summary>Sends the request, for the first time or again.</summary>
    private void Attempt(ref VirtualConnection connection, int client, long now)
    {
        connection.Retransmit = now + RetransmissionTimeout(connection.Retransmissions);
        if (_services is not null)
        {
            Submit(ref connection, client, now);
            return;
        }
        if (!IsAnswered(ref connection, now) || connection.Told <= now + (2 * _oneWay) || connection.Timeout < now + (2 * _oneWay))
        {
            return;
        }
        Deliver(ref connection, client, now + _oneWay);
    }

    /// <summary>The response, at the balancer now, arrives: at the client one way later, its acknowledgement back one later.</summary>
    private void Deliver(ref VirtualConnection connection, int client, long now)
    {
        var got = now + _oneWay;
        var acknowledged = got + _oneWay;
        if (IsLost(ref connection, got))
        {
            acknowledged += (2 * _oneWay) + LeastRetransmission;
        }
        _ = Passes(ref connection, FlowEnd.Client, PacketTraits.None, acknowledged);
        (connection.Client.Heard, connection.Client.Unanswered) = (got, 0);
        (connection.Server.Heard, connection.Server.Unanswered) = (acknowledged, 0);
        EndRequest(ref connection);
        Complete(client, got, Cause.None);
    }

    /// <summary>Sends one packet with the request to a server that takes its time, and acknowledges at once.</summary>
    private void Submit(ref VirtualConnection connection, int client, long now)
    {
        if (!IsReceived(ref connection, now))
        {
            return;
        }
        var (there, acknowledged) = (now + _oneWay, now + (2 * _oneWay));
        if (connection.Respond == Never)
        {
            connection.Respond = there + _clients[client].Service;
            (connection.Server.Heard, connection.Server.Unanswered) = (there, 0);
        }
        if (!Passes(ref connection, FlowEnd.Server, PacketTraits.None, there) || IsLost(ref connection, there)
            || connection.Told <= acknowledged || connection.Timeout < acknowledged)
        {
            return;
        }
        (connection.Client.Heard, connection.Client.Unanswered) = (acknowledged, 0);
        (connection.Request, connection.Retransmit) = (RequestPhase.Accepted, Never);
        connection.Obstacle = Cause.None;
    }

    /// <summary>The server sends its response, for the first time or again.</summary>
    private void Respond(int index, long now)
    {
        ref var connection = ref _connections[index];
        if (connection.ResponsesSent > MaxRetransmissions)
        {
            // Its kernel ends the connection without a word.
            EndServer(ref connection);
            return;
        }
        var traits = connection.ResponsesSent == 0 ? PacketTraits.NewPayload : PacketTraits.None;
        Totals.Retransmissions += connection.ResponsesSent == 0 ? 0 : 1;
        connection.Respond = now + RetransmissionTimeout(connection.ResponsesSent++);
        if (!Passes(ref connection, FlowEnd.Server, traits, now))
        {
            connection.Obstacle = Cause.Swallowed;
        }
        else if (IsLost(ref connection, now))
        {
            connection.Obstacle = Cause.Lost;
        }
        else if (connection.Timeout < now + _oneWay)
        {
            connection.Obstacle = Cause.Slow;
        }
        else if (connection.Told > now + _oneWay)
        {
            Deliver(ref connection, index / _scenario.Pool, now);
        }
    }

    private long RetransmissionTimeout(int retransmissions) =>
        Math.Min(MaxRetransmission, ((2 * _oneWay) + LeastRetransmission) << retransmissions);

    /// <summary>Sends one packet with the request; whether the response comes back.</summary>
    private bool IsAnswered(ref VirtualConnection connection, long now)
    {
        var there = now + _oneWay;
        return IsReceived(ref connection, now) && Passes(ref connection, FlowEnd.Server, PacketTraits.NewPayload, there) && !IsLost(ref connection, there);
    }

    /// <summary>Sends one packet with the request; whether the server gets it.</summary>
    private bool IsReceived(ref VirtualConnection connection, long now)
    {
        var there = now + _oneWay;
        connection.Obstacle = Cause.Lost;
        if (IsLost(ref connection, now))
        {
            return false;
        }
        var traits = connection.RequestSeen ? PacketTraits.None : PacketTraits.NewPayload;
        connection.RequestSeen = true;
        if (!Passes(ref connection, FlowEnd.Client, traits, there))
        {
            return false;
        }
        if (connection.ServerGone)
        {
            ResetFromServerHost(ref connection, there);
            return false;
        }
        return true;
    }

    private void Retransmit(int index, long now)
    {
        ref var connection = ref _connections[index];
        if (connection.Retransmissions >= MaxRetransmissions)
        {
            Close(index, now, Cause.GaveUp);
            return;
        }
        connection.Retransmissions++;
        Totals.Retransmissions++;
        Attempt(ref connection, index / _scenario.Pool, now);
    }

    /// <summary>The request timeout has passed.</summary>
    private void GiveUp(int index, long now)
    {
        ref var connection = ref _connections[index];
        var cause = connection.Obstacle == Cause.None ? Cause.Lost : connection.Obstacle;
        connection.Failed++;
        if (connection.Request == RequestPhase.Waiting)
        {
            // Nothing is wrong with the connection that is being made.
            EndRequest(ref connection);
            Complete(index / _scenario.Pool, now, Cause.PeerSilent);
            return;
        }
        var isAtWork = connection is { Respond: < Never, ResponsesSent: 0 };
        cause = isAtWork ? Cause.Slow : cause is Cause.Swallowed or Cause.PeerSilent or Cause.Slow ? cause : Cause.Lost;
        if (connection.Request == RequestPhase.Accepted)
        {
            Totals.LostWaiting += cause == Cause.Slow ? 0 : 1;
            // The client resets the connection. Where only the inside revives, that does.
            _ = Passes(ref connection, FlowEnd.Client, PacketTraits.Reset, now + _oneWay);
        }
        EndConnection(ref connection, now);
        Complete(index / _scenario.Pool, now, cause);
    }

    /// <summary>The client learns that a connection is no more.</summary>
    private void Close(int index, long now, Cause cause)
    {
        ref var connection = ref _connections[index];
        var hadRequest = connection.Request != RequestPhase.None;
        Totals.EndedIdle += hadRequest ? 0 : 1;
        Totals.LostWaiting += connection.Request == RequestPhase.Accepted ? 1 : 0;
        EndConnection(ref connection, now);
        if (hadRequest)
        {
            FailAttempt(index, now, cause);
        }
    }

    private void FailAttempt(int index, long now, Cause cause)
    {
        _connections[index].Failed++;
        var client = index / _scenario.Pool;
        ref var one = ref _clients[client];
        if (one.RetriesLeft > 0 && now < one.Deadline)
        {
            one.RetriesLeft--;
            Totals.Retried++;
            Assign(client, now);
            return;
        }
        Complete(client, now, cause);
    }

    private void Complete(int client, long now, Cause cause)
    {
        ref var one = ref _clients[client];
        var bin = Bin(one.Began);
        Totals.Requests++;
        Totals.Timeline[VirtualTotals.RequestRow][bin]++;
        switch (cause)
        {
            case Cause.None:
                Totals.Ok++;
                Totals.Timeline[VirtualTotals.OkRow][bin]++;
                break;
            case Cause.Swallowed or Cause.PeerSilent or Cause.Lost or Cause.Slow:
                Totals.Status504++;
                Totals.Timeline[VirtualTotals.Status504Row][bin]++;
                Totals.Count(cause);
                break;
            default:
                Totals.Status503++;
                Totals.Timeline[VirtualTotals.Status503Row][bin]++;
                Totals.Count(cause);
                break;
        }
        one.Active = -1;
        one.Next = _arrivals.Next(ref one, _firstClient + client, now, _cancellation);
        if (_queuesSteps)
        {
            EnterClient(client);
        }
    }

    private static void EndRequest(ref VirtualConnection connection)
    {
        connection.Request = RequestPhase.None;
        connection.Retransmit = connection.Timeout = connection.Respond = Never;
        connection.ResponsesSent = 0;
    }

    /// <summary>The client's end is no more; what is left of the server's is not followed any further.</summary>
    private void EndConnection(ref VirtualConnection connection, long now)
    {
        if (connection.SilentSince < Never)
        {
            Totals.Notices.Add(now - connection.SilentSince);
        }
        Clear(ref connection);
        if (_scenario.ReopensAtOnce)
        {
            Open(ref connection, now);
        }
    }

    private static void Clear(ref VirtualConnection connection)
    {
        EndRequest(ref connection);
        connection.Phase = ConnectionPhase.Down;
        connection.Told = connection.Connected = connection.Fails = connection.SilentSince = Never;
        connection.Client = connection.Server = new VirtualEnd { Timer = Never };
        connection.ServerGone = false;
    }

    /// <summary>Begins a connection. How the handshake goes is settled here: it is nobody else's matter.</summary>
    private void Open(ref VirtualConnection connection, long now)
    {
        connection.Endpoint = _endpoints.Choose(connection.NextEndpoint, now);
        connection.Phase = ConnectionPhase.Connecting;
        connection.ConnectSucceeds = false;
        connection.Connected = now + _scenario.ConnectTimeout.Ticks;
        var wait = SynRetransmission;
        for (var sent = now; sent < now + _scenario.ConnectTimeout.Ticks; sent += wait, wait *= 2)
        {
            var there = sent + _oneWay;
            if (IsLost(ref connection, sent))
            {
                continue;
            }
            var outage = _outages.At(connection.Endpoint, there);
            if (outage is { IsSilent: true } || IsLost(ref connection, there))
            {
                continue;
            }
            connection.Connected = there + _oneWay;
            connection.ConnectSucceeds = outage is null && connection.Connected <= now + _scenario.ConnectTimeout.Ticks;
            break;
        }
        if (!connection.ConnectSucceeds)
        {
            return;
        }
        var established = connection.Connected;
        connection.Flow = FlowClock.StartedAt(new TimeSpan(established - _oneWay));
        connection.Flow.Client = new TimeSpan(established + _oneWay);
        connection.Fails = _outages.Next(connection.Endpoint, established - _oneWay)?.From ?? Never;
        connection.Client.Heard = established;
        connection.Server.Heard = established + _oneWay;
        connection.Client.Timer = _clientTimes.IsOn ? _timer.Fires(established, _clientTimes.Time) : Never;
        connection.Server.Timer = _serverTimes.IsOn ? _timer.Fires(established + _oneWay, _serverTimes.Time) : Never;
    }

    private void OnConnected(int index, long now)
    {
        ref var connection = ref _connections[index];
        connection.Connected = Never;
        if (connection.Phase == ConnectionPhase.Down)
        {
            Open(ref connection, now);
            return;
        }
        if (connection.ConnectSucceeds)
        {
            connection.Phase = ConnectionPhase.Established;
            Totals.Opened++;
            if (connection.Request == RequestPhase.Waiting)
            {
                Send(ref connection, index / _scenario.Pool, now);
            }
            return;
        }
        Totals.ConnectFailures++;
        var hadRequest = connection.Request == RequestPhase.Waiting;
        Clear(ref connection);
        connection.NextEndpoint++;
        connection.Connected = _scenario.ReopensAtOnce ? now + ReconnectDelay : Never;
        if (hadRequest)
        {
            FailAttempt(index, now, Cause.ConnectFailed);
        }
    }
}
