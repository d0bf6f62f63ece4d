using System.Text;
using Keepalive.Linux.Sockets;

namespace Keepalive.Probes.Reports;

/// <summary>Endpoints as text, each made once: a capture has few of them and many packets.</summary>
internal sealed class EndpointText
{
    private const int Limit = 8192;

    private const int Recent = 4096;

    private readonly Dictionary<SocketEndpoint, byte[]> _known = [];
    private readonly (SocketEndpoint Endpoint, byte[]? Text)[] _recent = new (SocketEndpoint, byte[]?)[Recent];

    /// <summary><c>10.0.0.1:443</c> or <c>[2001:db8::1]:443</c> in UTF-8.</summary>
    public ReadOnlySpan<byte> Of(SocketEndpoint endpoint)
    {
        ref var recent = ref _recent[((uint)endpoint.Address ^ (uint)(endpoint.Address >> 64) ^ endpoint.Port) % Recent];
        if (recent.Text is { } found && recent.Endpoint == endpoint)
        {
            return found;
        }
        if (!_known.TryGetValue(endpoint, out var text))
        {
            if (_known.Count == Limit)
            {
                _known.Clear();
            }
            _known.Add(endpoint, text = Encoding.UTF8.GetBytes(endpoint.ToString()));
        }
        recent = (endpoint, text);
        return text;
    }
}
