using System.Runtime.CompilerServices;
using System.Text;
using Keepalive.Linux.Sockets;

namespace Keepalive.Probes.Reports;

/// <summary>The two ends of a connection as a line has them, each direction's text made once: a capture has few connections and many packets.</summary>
/// <param name="toText">Makes it from the source and the destination.</param>
internal sealed class EndsText(Func<SocketEndpoint, SocketEndpoint, string> toText)
{
    /// <summary>Texts that are kept; more connections make theirs again.</summary>
    private const int Limit = 8192;

    private readonly Entry[] _known = new Entry[Limit];

    /// <summary>The text in UTF-8.</summary>
    /// <param name="flow">The place of their flow, where the text is looked for.</param>
    /// <param name="source">The one end.</param>
    /// <param name="destination">The other.</param>
    public ReadOnlySpan<byte> Of(int flow, in SocketEndpoint source, in SocketEndpoint destination)
    {
        var isUp = source.Lower != destination.Lower ? source.Lower < destination.Lower : source.Port < destination.Port;
        ref var entry = ref _known[((flow * 2) + (isUp ? 1 : 0)) & (Limit - 1)];
        // Another flow may have been there.
        if (!Is(in entry.Source, in source) || !Is(in entry.Destination, in destination) || entry.Text is null)
        {
            entry.Source = source;
            entry.Destination = destination;
            entry.Text = Encoding.UTF8.GetBytes(toText(source, destination));
        }
        return entry.Text;
    }

    /// <summary>Whether both are the same; neither is copied.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Is(in SocketEndpoint one, in SocketEndpoint other) => one.Lower == other.Lower && one.Port == other.Port && one.Upper == other.Upper;

    private struct Entry
    {
        public SocketEndpoint Source;
        public SocketEndpoint Destination;
        public byte[]? Text;
    }
}
