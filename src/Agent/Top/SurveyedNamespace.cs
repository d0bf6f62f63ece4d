using System.Runtime.InteropServices;

namespace Keepalive.Agent.Top;

/// <summary>The connections of one network namespace as the last pass found them.</summary>
/// <remarks>The lists stay when a new pass begins: tens of thousands of connections once a second would be work for the garbage
/// collector.</remarks>
internal sealed class SurveyedNamespace(ulong inode)
{
    private readonly List<SurveyedSocket> _sockets = [];
    private readonly HashSet<ushort> _listening = [];
    private Dictionary<ulong, int>? _places;

    /// <summary>Inode number of the network namespace.</summary>
    public ulong Inode => inode;

    public ReadOnlySpan<SurveyedSocket> Sockets => CollectionsMarshal.AsSpan(_sockets);

    /// <summary>Begins a pass over it.</summary>
    public void Clear()
    {
        _sockets.Clear();
        _listening.Clear();
        _places = null;
    }

    /// <summary>Adds a connection of the pass.</summary>
    public void Add(in SurveyedSocket socket)
    {
        _places?.Add(socket.Cookie, _sockets.Count);
        _sockets.Add(socket);
    }

    /// <summary>Replaces a connection that has changed since the pass began, or adds it.</summary>
    public void Replace(in SurveyedSocket socket)
    {
        if (_places is null)
        {
            _places = new Dictionary<ulong, int>(_sockets.Count);
            for (var i = 0; i < _sockets.Count; i++)
            {
                _places[_sockets[i].Cookie] = i;
            }
        }
        if (_places.TryGetValue(socket.Cookie, out var place))
        {
            _sockets[place] = socket;
        }
        else
        {
            Add(in socket);
        }
    }

    /// <summary>Notes that something listens on a port.</summary>
    public void Listen(ushort port) => _listening.Add(port);

    /// <summary>Whether a connection was accepted here rather than opened: something listens on its own port.</summary>
    public bool HasAccepted(in SurveyedSocket socket) => _listening.Count > 0 && _listening.Contains(socket.Local.Port);
}
