using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Virtual;

/// <content>The events of a connection, in the order of its own time line.</content>
internal sealed partial class Block
{
    private Step NextStep(ref VirtualConnection connection, out long key)
    {
        key = connection.Restart;
        var step = Step.Restart;
        Consider(connection.Fails, Step.Fail, ref key, ref step);
        if (connection.Phase == ConnectionPhase.Established && connection.Flow.Phase == FlowPhase.Open)
        {
            Consider(Deadline(ref connection), Step.Expire, ref key, ref step);
        }
        var hasRequest = connection.Request != RequestPhase.None;
        if (hasRequest)
        {
            Consider(connection.Respond, Step.Respond, ref key, ref step);
        }
        Consider(connection.Server.Timer, Step.ServerTimer, ref key, ref step);
        Consider(connection.Told + _oneWay, Step.Told, ref key, ref step);
        Consider(connection.Connected + _oneWay, Step.Connected, ref key, ref step);
        Consider(connection.Client.Timer + _oneWay, Step.ClientTimer, ref key, ref step);
        if (hasRequest)
        {
            Consider(connection.Retransmit + _oneWay, Step.Retransmit, ref key, ref step);
            Consider(connection.Timeout + _oneWay, Step.Timeout, ref key, ref step);
        }
        return step;

        static void Consider(long candidate, Step what, ref long key, ref Step step)
        {
            if (candidate < key)
            {
                (key, step) = (candidate, what);
            }
        }
    }

    private long Deadline(ref VirtualConnection connection) => _rule.Deadline(connection.Flow).Ticks;

    private void Take(Step step, int index, long key)
    {
        if (--_stepsUntilCheck == 0)
        {
            _stepsUntilCheck = StepsBetweenChecks;
            _cancellation.ThrowIfCancellationRequested();
        }
        ref var connection = ref _connections[index];
        switch (step)
        {
            case Step.Restart:
                Forget(ref connection);
                break;
            case Step.Fail:
                Fail(ref connection, key);
                break;
            case Step.Expire:
                Expire(ref connection, key);
                break;
            case Step.Respond:
                Respond(index, key);
                break;
            case Step.ServerTimer:
                OnServerTimer(ref connection, key);
                break;
            case Step.Told:
                Close(index, key - _oneWay, connection.ToldCause);
                break;
            case Step.Connected:
                OnConnected(index, key - _oneWay);
                break;
            case Step.ClientTimer:
                OnClientTimer(index, key - _oneWay);
                break;
            case Step.Retransmit:
                Retransmit(index, key - _oneWay);
                break;
            case Step.Timeout:
                GiveUp(index, key - _oneWay);
                break;
            default:
                throw new InvalidOperationException($"nothing happens at {key}");
        }
    }

    /// <summary>The balancer starts anew.</summary>
    private void Forget(ref VirtualConnection connection)
    {
        if (connection is { Phase: ConnectionPhase.Established, Flow.Phase: FlowPhase.Open })
        {
            connection.Flow.Phase = FlowPhase.Expired;
            Totals.Forgotten++;
        }
        connection.Restart = ++connection.Restarts < _restarts.Length ? _restarts[connection.Restarts] : Never;
    }

    /// <summary>The endpoint fails.</summary>
    private void Fail(ref VirtualConnection connection, long now)
    {
        var outage = _outages.At(connection.Endpoint, now)!.Value;
        connection.Fails = Never;
        if (connection.ServerGone)
        {
            return;
        }
        EndServer(ref connection);
        if (outage.IsSilent)
        {
            if (connection.Request == RequestPhase.Accepted)
            {
                connection.Obstacle = Cause.PeerSilent;
            }
            connection.SilentSince = now;
        }
        else
        {
            ResetFromServer(ref connection, now);
        }
    }

    private void Expire(ref VirtualConnection connection, long now)
    {
        var action = _rule.Expire(ref connection.Flow);
        Totals.Expiries++;
        Totals.ExpiredWaiting += connection.Request == RequestPhase.Accepted ? 1 : 0;
        Totals.Timeline[VirtualTotals.ExpiryRow][Bin(now)]++;
        if (action == ExpiryAction.Nothing)
        {
            return;
        }
        if (action == ExpiryAction.FinBoth)
        {
            // A lost FIN is sent again by the balancer's own stack.
            var late = IsLost(ref connection, now) ? 2 * _oneWay + LeastRetransmission : 0;
            Totals.Fins += 2;
            Tell(ref connection, now + _oneWay + late, Cause.BalancerClosed);
        }
        else
        {
            Totals.ResetsToServer++;
            ResetClient(ref connection, now);
        }
        EndServer(ref connection);
    }

    private void OnServerTimer(ref VirtualConnection connection, long now)
    {
        ref var end = ref connection.Server;
        if (!IsProbeDue(ref end, _serverTimes, now, isBusy: connection.ResponsesSent > 0))
        {
            return;
        }
        if (end.Unanswered >= _serverTimes.Probes)
        {
            Totals.KeepaliveDeaths++;
            EndServer(ref connection);
            ResetFromServer(ref connection, now);
            return;
        }
        Totals.ServerProbes++;
        _probesByTime.Add(now);
        end.Unanswered++;
        end.Timer = _timer.Fires(now, _serverTimes.Interval);
        if (!Passes(ref connection, FlowEnd.Server, PacketTraits.Probe, now) || IsLost(ref connection, now)
            || connection.Phase != ConnectionPhase.Established)
        {
            return;
        }
        // The client's kernel answers at once; its own idle clock does not restart with a probe.
        Totals.RepliesSent++;
        var back = now + (2 * _oneWay);
        if (IsLost(ref connection, now + _oneWay))
        {
            return;
        }
        if (connection.Flow.Phase == FlowPhase.Open && Deadline(ref connection) is var deadline && deadline <= back)
        {
            Expire(ref connection, deadline);
        }
        if (!connection.ServerGone && Passes(ref connection, FlowEnd.Client, PacketTraits.None, back))
        {
            Totals.Replies++;
            end.Heard = Math.Max(end.Heard, back);
            end.Unanswered = 0;
        }
    }

    private void OnClientTimer(int index, long now)
    {
        ref var connection = ref _connections[index];
        ref var end = ref connection.Client;
        if (!IsProbeDue(ref end, _clientTimes, now, connection.Request == RequestPhase.Sent))
        {
            return;
        }
        if (end.Unanswered >= _clientTimes.Probes)
        {
            Totals.KeepaliveDeaths++;
            Totals.Deaths.Add(now - end.Heard);
            if (connection.SilentSince < Never && _endpoints.Remove(connection.Endpoint, now))
            {
                Totals.Removals++;
            }
            Close(index, now, connection.Flow.Phase == FlowPhase.Open ? Cause.ProbesUnanswered : Cause.ProbesSwallowed);
            return;
        }
        Totals.ClientProbes++;
        _probesByTime.Add(now);
        end.Unanswered++;
        end.Timer = _timer.Fires(now, _clientTimes.Interval);
        var there = now + _oneWay;
        if (IsLost(ref connection, now) || !Passes(ref connection, FlowEnd.Client, PacketTraits.Probe, there))
        {
            return;
        }
        if (connection.ServerGone)
        {
            ResetFromServerHost(ref connection, there);
            return;
        }
        Totals.RepliesSent++;
        if (Passes(ref connection, FlowEnd.Server, PacketTraits.None, there) && !IsLost(ref connection, there))
        {
            Totals.Replies++;
            end.Heard = Math.Max(end.Heard, there + _oneWay);
            end.Unanswered = 0;
        }
    }

    /// <summary>The decision of tcp_keepalive_timer; restarts the timer if no probe is due.</summary>
    private bool IsProbeDue(ref VirtualEnd end, in EndTimes times, long now, bool isBusy)
    {
        if (isBusy || now < end.Heard)
        {
            // Data is on its way and will be retransmitted: alive or not, that will tell.
            end.Timer = _timer.Fires(now, times.Time);
            return false;
        }
        var left = times.Time - (now - end.Heard);
        if (left > 0)
        {
            end.Timer = _timer.Fires(now, left);
            return false;
        }
        return true;
    }

    /// <summary>Whether a packet that reaches the balancer reaches the other end; a reset it causes is sent.</summary>
    private bool Passes(ref VirtualConnection connection, FlowEnd from, PacketTraits traits, long now)
    {
        if (connection.Flow.Phase == FlowPhase.Open && _forwardsOpen)
        {
            // By far the most packets. Answers are looked at before what was sent between: a clock does not go back.
            if (_rule.Refreshes(traits))
            {
                if (from == FlowEnd.Client)
                {
                    connection.Flow.Client = new TimeSpan(Math.Max(connection.Flow.Client.Ticks, now));
                }
                else
                {
                    connection.Flow.Server = new TimeSpan(Math.Max(connection.Flow.Server.Ticks, now));
                }
            }
            return true;
        }
        var before = connection.Flow;
        var action = _rule.OnPacket(ref connection.Flow, from, traits, new TimeSpan(now));
        switch (action)
        {
            case PacketAction.Forward:
                if (connection.Flow.Client < before.Client)
                {
                    connection.Flow.Client = before.Client;
                }
                if (connection.Flow.Server < before.Server)
                {
                    connection.Flow.Server = before.Server;
                }
                return true;
            case PacketAction.Revive or PacketAction.Open:
                Totals.Revived++;
                return true;
            case PacketAction.ResetSender or PacketAction.AnswerAsClosed when from == FlowEnd.Client:
                connection.Obstacle = Cause.BalancerReset;
                ResetClient(ref connection, now);
                return false;
            case PacketAction.ResetSender or PacketAction.AnswerAsClosed:
                Totals.ResetsToServer++;
                EndServer(ref connection);
                connection.Obstacle = connection.Request == RequestPhase.Accepted ? Cause.Swallowed : connection.Obstacle;
                return false;
            default:
                connection.Obstacle = Cause.Swallowed;
                return false;
        }
    }

    private void ResetClient(ref VirtualConnection connection, long now)
    {
        Totals.ResetsToClient++;
        if (!IsLost(ref connection, now))
        {
            Tell(ref connection, now + _oneWay, Cause.BalancerReset);
        }
    }

    /// <summary>A server's end that ends by itself resets its client.</summary>
    private void ResetFromServer(ref VirtualConnection connection, long now)
    {
        if (Passes(ref connection, FlowEnd.Server, PacketTraits.Reset, now) && !IsLost(ref connection, now))
        {
            Tell(ref connection, now + _oneWay, Cause.PeerReset);
        }
    }

    /// <summary>A packet for an end that is no more: its host resets, unless it is gone itself.</summary>
    private void ResetFromServerHost(ref VirtualConnection connection, long now)
    {
        if (_outages.At(connection.Endpoint, now) is { IsSilent: true })
        {
            connection.Obstacle = Cause.PeerSilent;
            return;
        }
        ResetFromServer(ref connection, now);
    }

    private static void Tell(ref VirtualConnection connection, long at, Cause cause)
    {
        if (at < connection.Told)
        {
            (connection.Told, connection.ToldCause) = (at, cause);
        }
    }

    private static void EndServer(ref VirtualConnection connection)
    {
        connection.ServerGone = true;
        connection.Server.Timer = connection.Respond = Never;
    }

    private bool IsLost(ref VirtualConnection connection, long sent) => _loss.Takes(ref connection.Path, ref connection.Random, sent);
}
