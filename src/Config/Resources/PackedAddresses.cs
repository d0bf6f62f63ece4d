using System.Buffers.Binary;
using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace Keepalive.Config.Resources;

/// <summary>Single addresses in 4 or 16 bytes each.</summary>
[SuppressMessage("Naming", "CA1710", Justification = "It is one field of an endpoint.")]
public readonly struct PackedAddresses : IReadOnlyCollection<IpPrefix>, IEquatable<PackedAddresses>
{
    private readonly byte[]? _bytes;
    private readonly int _width;

    /// <summary>Packs addresses of one family.</summary>
    /// <param name="addresses">The addresses.</param>
    internal PackedAddresses(IReadOnlyCollection<IpPrefix> addresses)
    {
        _width = addresses.All(static address => address.IsIPv4) ? 4 : 16;
        _bytes = addresses.Count == 0 ? null : new byte[addresses.Count * _width];
        var i = 0;
        foreach (var address in addresses)
        {
            if (_width == 4)
            {
                BinaryPrimitives.WriteUInt32BigEndian(_bytes.AsSpan(i++ * 4), (uint)address.Address);
            }
            else
            {
                BinaryPrimitives.WriteUInt128BigEndian(_bytes.AsSpan(i++ * 16), address.Address);
            }
        }
    }

    /// <summary>The number of addresses.</summary>
    public int Count => _bytes is null ? 0 : _bytes.Length / _width;

    private IpPrefix this[int i]
    {
        get
        {
            var address = _width == 4
                ? Endpoint.MappedPrefix | BinaryPrimitives.ReadUInt32BigEndian(_bytes.AsSpan(i * 4))
                : BinaryPrimitives.ReadUInt128BigEndian(_bytes.AsSpan(i * 16));
            var isIPv4 = Endpoint.IsMapped(address);
            return new IpPrefix(address, isIPv4 ? 32 : 128, isIPv4);
        }
    }

    /// <summary>The addresses in their order.</summary>
    public Enumerator GetEnumerator() => new(this);

    IEnumerator<IpPrefix> IEnumerable<IpPrefix>.GetEnumerator() => GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <inheritdoc/>
    public bool Equals(PackedAddresses other) => _bytes.AsSpan().SequenceEqual(other._bytes);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is PackedAddresses other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.AddBytes(_bytes);
        return hash.ToHashCode();
    }

    /// <summary>Whether both have the same addresses in the same order.</summary>
    public static bool operator ==(PackedAddresses left, PackedAddresses right) => left.Equals(right);

    /// <summary>The opposite of equality.</summary>
    public static bool operator !=(PackedAddresses left, PackedAddresses right) => !left.Equals(right);

    /// <summary>Goes through the addresses.</summary>
    public struct Enumerator(PackedAddresses addresses) : IEnumerator<IpPrefix>
    {
        private readonly PackedAddresses _addresses = addresses;
        private int _i = -1;

        /// <inheritdoc/>
        public readonly IpPrefix Current => _addresses[_i];

        readonly object IEnumerator.Current => Current;

        /// <inheritdoc/>
        public bool MoveNext() => ++_i < _addresses.Count;

        /// <inheritdoc/>
        public void Reset() => _i = -1;

        /// <inheritdoc/>
        public readonly void Dispose()
        {
        }
    }
}
