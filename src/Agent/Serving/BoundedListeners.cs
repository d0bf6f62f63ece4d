using System.Diagnostics.CodeAnalysis;
using System.IO.Pipelines;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace Keepalive.Agent.Serving;

/// <summary>Listeners that have at most so many connections open at a time. For one more the one that has been there longest makes room, before the next is accepted: a
/// limit behind the accepting is reached when there is no descriptor left.</summary>
/// <param name="inner">What listens.</param>
/// <param name="most">Connections to one listener at a time.</param>
/// <param name="logger">Told once for each listener that has had more.</param>
internal sealed class BoundedListeners(IConnectionListenerFactory inner, int most, ILogger logger) : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    public bool CanBind(EndPoint endpoint) => inner is not IConnectionListenerFactorySelector selector || selector.CanBind(endpoint);

    public async ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        new Listener(await inner.BindAsync(endpoint, cancellationToken).ConfigureAwait(false), most, logger);

    private sealed class Listener(IConnectionListener inner, int most, ILogger logger) : IConnectionListener
    {
        private readonly LinkedList<ConnectionContext> _open = new();
        private bool _said;

        public EndPoint EndPoint => inner.EndPoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            if (await inner.AcceptAsync(cancellationToken).ConfigureAwait(false) is not { } connection)
            {
                return null;
            }
            ConnectionContext? oldest = null;
            var counted = new Counted(connection, Leave);
            lock (_open)
            {
                _open.AddLast(counted.Place);
                if (_open.Count > most)
                {
                    oldest = _open.First!.Value;
                    _open.RemoveFirst();
                }
            }
            if (oldest is not null)
            {
                if (!_said)
                {
                    _said = true;
                    ServingLog.LogTooMany(logger, inner.EndPoint.ToString()!, most);
                }
                oldest.Abort();   // closes the socket
            }
            return counted;
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default) => inner.UnbindAsync(cancellationToken);

        public ValueTask DisposeAsync() => inner.DisposeAsync();

        private void Leave(LinkedListNode<ConnectionContext> place)
        {
            lock (_open)
            {
                if (place.List is not null)
                {
                    _open.Remove(place);
                }
            }
        }
    }

    /// <summary>A connection that counts until its socket is closed.</summary>
    private sealed class Counted : ConnectionContext
    {
        private readonly ConnectionContext _inner;
        private readonly Action<LinkedListNode<ConnectionContext>> _leave;

        public Counted(ConnectionContext inner, Action<LinkedListNode<ConnectionContext>> leave)
        {
            (_inner, _leave) = (inner, leave);
            Place = new LinkedListNode<ConnectionContext>(this);
        }

        public LinkedListNode<ConnectionContext> Place { get; }

        public override string ConnectionId
        {
            get => _inner.ConnectionId;
            set => _inner.ConnectionId = value;
        }

        public override IFeatureCollection Features => _inner.Features;

        [AllowNull]
        public override IDictionary<object, object?> Items
        {
            get => _inner.Items;
            set => _inner.Items = value!;
        }

        public override IDuplexPipe Transport
        {
            get => _inner.Transport;
            set => _inner.Transport = value;
        }

        public override CancellationToken ConnectionClosed
        {
            get => _inner.ConnectionClosed;
            set => _inner.ConnectionClosed = value;
        }

        public override EndPoint? LocalEndPoint
        {
            get => _inner.LocalEndPoint;
            set => _inner.LocalEndPoint = value;
        }

        public override EndPoint? RemoteEndPoint
        {
            get => _inner.RemoteEndPoint;
            set => _inner.RemoteEndPoint = value;
        }

        public override void Abort() => _inner.Abort();

        public override void Abort(ConnectionAbortedException abortReason) => _inner.Abort(abortReason);

        public override async ValueTask DisposeAsync()
        {
            await _inner.DisposeAsync().ConfigureAwait(false);
            await base.DisposeAsync().ConfigureAwait(false);
            _leave(Place);
        }
    }
}
