using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads an EndpointSlice of the API server without a tree: a large cluster has a hundred changes of them each second.</summary>
/// <remarks>It reads what servers send. Anything else, and everything that there is something to say about, is left to
/// <see cref="EndpointSliceReader"/>: also a text that is not plain ASCII, which this reader would not decode and the other one would
/// refuse. The slice is as <see cref="EndpointSlice.Compact"/> makes it.</remarks>
internal ref struct EndpointSliceJson
{
    private const string ClusterAnnotation = "cluster.solo.io/cluster";
    private const string ClusterLabel = "context.mesh.gloo.solo.io/cluster";
    private const int LongestAddress = 64;

    private readonly List<IpPrefix> _addresses = [];
    private readonly List<NamedPort> _ports = [];
    private Utf8JsonReader _reader;
    private string? _name;
    private string? _namespace;
    private string? _service;
    private string? _clusterAnnotation;
    private string? _clusterLabel;
    private bool _hasPorts;
    private int _fields;

    private EndpointSliceJson(in ReadOnlySequence<byte> json) => _reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = InputLimits.Depth });

    /// <summary>Reads a slice.</summary>
    /// <param name="json">Its text.</param>
    /// <param name="apiVersion">The version it was asked for in.</param>
    /// <param name="fingerprint">The same for equal slices.</param>
    /// <returns>The slice; null if it is for the other reader.</returns>
    public static EndpointSlice? Read(in ReadOnlySequence<byte> json, string apiVersion, out ulong fingerprint)
    {
        fingerprint = 0;
        if (!IsVersion(apiVersion))
        {
            return null;
        }

        var reader = new EndpointSliceJson(in json);
        try
        {
            if (!reader._reader.Read() || reader._reader.TokenType != JsonTokenType.StartObject || !reader.ReadFields())
            {
                return null;
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;   // it is for the other reader to refuse a text
        }

        var isTcp = !reader._hasPorts || reader._ports.Count > 0;
        var slice = new EndpointSlice
        {
            Metadata = new ObjectMetadata
            {
                Name = new(reader._name!, default),
                Namespace = reader._namespace ?? "default",
                Cluster = NonEmpty(reader._clusterAnnotation) ?? NonEmpty(reader._clusterLabel),
            },
            Service = reader._service,
            Packed = new PackedAddresses(isTcp ? reader._addresses : []),
            Ports = [.. reader._ports],
        };
        fingerprint = FingerprintOf(slice);
        return slice;
    }

    private static string? NonEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;

    private static bool IsVersion(string apiVersion) => apiVersion is "discovery.k8s.io/v1" or "discovery.k8s.io/v1beta1";

    private bool ReadFields()
    {
        while (_reader.Read() && _reader.TokenType == JsonTokenType.PropertyName && IsPlain())
        {
            var isRead = _reader.ValueTextEquals("metadata"u8) ? Is(1) && _reader.TokenType == JsonTokenType.StartObject && ReadMetadata()
                : _reader.ValueTextEquals("endpoints"u8) ? Is(2) && ReadList(Item.Endpoint)
                : _reader.ValueTextEquals("ports"u8) ? Is(4) && ReadList(Item.Port)
                : _reader.ValueTextEquals("apiVersion"u8) ? Is(8) && _reader.TokenType == JsonTokenType.String && IsVersion(_reader.GetString()!)
                : _reader.ValueTextEquals("kind"u8) ? Is(16) && _reader.TokenType == JsonTokenType.String && _reader.ValueTextEquals(EndpointSlice.KindName)
                : _reader.ValueTextEquals("addressType"u8) && Is(32) && _reader.TokenType == JsonTokenType.String && IsPlain();
            if (!isRead)
            {
                return false;
            }
        }

        return _reader.TokenType == JsonTokenType.EndObject && IsName(_name, 253) && (_namespace is null || (IsName(_namespace, 63) && !_namespace.Contains('.', StringComparison.Ordinal)));
    }

    /// <summary>Goes on to the value of a field that was not there before.</summary>
    private bool Is(int field)
    {
        var isNew = (_fields & field) == 0;
        _fields |= field;
        return isNew && _reader.Read();
    }

    private bool ReadMetadata()
    {
        var fields = 0;
        while (_reader.Read() && _reader.TokenType == JsonTokenType.PropertyName)
        {
            if (!IsPlain())
            {
                return false;
            }

            var field = _reader.ValueTextEquals("name"u8) ? 1 : _reader.ValueTextEquals("namespace"u8) ? 2
                : _reader.ValueTextEquals("labels"u8) ? 4 : _reader.ValueTextEquals("annotations"u8) ? 8
                : _reader.ValueTextEquals("creationTimestamp"u8) ? 16 : 0;
            _reader.Read();
            if (field == 0)
            {
                _reader.Skip();
                continue;
            }

            if ((fields & field) != 0 || !ReadMetadata(field))
            {
                return false;
            }

            fields |= field;
        }

        return true;
    }

    private bool ReadMetadata(int field)
    {
        if (field == 16)
        {
            return IsTime();
        }

        if (field is 1 or 2)
        {
            if (_reader.TokenType != JsonTokenType.String)
            {
                return false;
            }

            (_name, _namespace) = field == 1 ? (SharedTexts.Read(in _reader), _namespace) : (_name, SharedTexts.Read(in _reader));
            return true;
        }

        return _reader.TokenType == JsonTokenType.StartObject && ReadMap(areLabels: field == 4);
    }

    private bool ReadMap(bool areLabels)
    {
        while (_reader.Read() && _reader.TokenType == JsonTokenType.PropertyName)
        {
            var (isService, isCluster) = (areLabels && _reader.ValueTextEquals(EndpointSlice.ServiceLabel), _reader.ValueTextEquals(areLabels ? ClusterLabel : ClusterAnnotation));
            if (!IsPlain() || (!areLabels && !isCluster && IsOfAgent()))
            {
                return false;   // one of the agent's has no effect on a slice, which is something to say
            }

            _reader.Read();
            if (_reader.TokenType != JsonTokenType.String || !IsPlain())
            {
                return false;
            }

            var value = isService || isCluster ? SharedTexts.Read(in _reader) : null;
            if ((isService && _service is not null) || (isCluster && (areLabels ? _clusterLabel : _clusterAnnotation) is not null))
            {
                return false;
            }

            _service = isService ? value : _service;
            _clusterLabel = isCluster && areLabels ? value : _clusterLabel;
            _clusterAnnotation = isCluster && !areLabels ? value : _clusterAnnotation;
        }

        return true;
    }

    private enum Item
    {
        Endpoint,
        Port,
    }

    private bool ReadList(Item item)
    {
        if (_reader.TokenType == JsonTokenType.Null)
        {
            return true;
        }

        if (_reader.TokenType != JsonTokenType.StartArray)
        {
            return false;
        }

        while (_reader.Read() && _reader.TokenType != JsonTokenType.EndArray)
        {
            if (_reader.TokenType != JsonTokenType.StartObject || !(item == Item.Endpoint ? ReadEndpoint() : ReadPort()))
            {
                return false;
            }
        }

        return true;
    }

    private bool ReadEndpoint()
    {
        var hasAddresses = false;
        while (_reader.Read() && _reader.TokenType == JsonTokenType.PropertyName)
        {
            if (!IsPlain())
            {
                return false;
            }

            var areAddresses = _reader.ValueTextEquals("addresses"u8);
            _reader.Read();
            if (!areAddresses)
            {
                _reader.Skip();
                continue;
            }

            if (hasAddresses || _reader.TokenType != JsonTokenType.StartArray || !ReadAddresses())
            {
                return false;
            }

            hasAddresses = true;
        }

        return true;
    }

    private bool ReadAddresses()
    {
        Span<char> buffer = stackalloc char[LongestAddress];
        while (_reader.Read() && _reader.TokenType != JsonTokenType.EndArray)
        {
            if (_reader.TokenType != JsonTokenType.String || (_reader.HasValueSequence ? _reader.ValueSequence.Length : _reader.ValueSpan.Length) > LongestAddress
                || !IpPrefix.TryParse(buffer[.._reader.CopyString(buffer)], out var prefix, out _) || prefix.Length != (prefix.IsIPv4 ? 32 : 128))
            {
                return false;
            }

            _addresses.Add(prefix);
        }

        return true;
    }

    private bool ReadPort()
    {
        var (name, isTcp, number, fields) = ("", true, (int?)null, 0);
        while (_reader.Read() && _reader.TokenType == JsonTokenType.PropertyName)
        {
            if (!IsPlain())
            {
                return false;
            }

            var field = _reader.ValueTextEquals("name"u8) ? 1 : _reader.ValueTextEquals("protocol"u8) ? 2
                : _reader.ValueTextEquals("port"u8) ? 4 : _reader.ValueTextEquals("appProtocol"u8) ? 8 : 0;
            _reader.Read();
            if (field == 0 || (fields & field) != 0 || (_reader.TokenType == JsonTokenType.String && !IsPlain()))
            {
                return false;
            }

            fields |= field;
            switch (field, _reader.TokenType)
            {
                case (8, JsonTokenType.String):
                case (_, JsonTokenType.Null):
                    break;
                case (1, JsonTokenType.String):
                    name = SharedTexts.Read(in _reader);
                    break;
                case (2, JsonTokenType.String):
                    isTcp = _reader.ValueTextEquals("TCP"u8);
                    break;
                case (4, JsonTokenType.Number) when _reader.TryGetInt32(out var value) && value is >= 1 and <= 65535:
                    number = value;
                    break;
                default:
                    return false;
            }
        }

        _hasPorts = true;
        if (isTcp)
        {
            _ports.Add(new NamedPort(name, number));
        }

        return true;
    }

    /// <summary>Whether the text at the reader's position is what it stands for, so that nothing is missed by not decoding it.</summary>
    private readonly bool IsPlain()
    {
        if (_reader.ValueIsEscaped)
        {
            return false;
        }

        if (!_reader.HasValueSequence)
        {
            return Ascii.IsValid(_reader.ValueSpan);
        }

        foreach (var part in _reader.ValueSequence)
        {
            if (!Ascii.IsValid(part.Span))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether the name at the reader's position is that of an annotation of the agent's.</summary>
    private readonly bool IsOfAgent()
    {
        var prefix = AgentAnnotations.Prefix;
        if (_reader.HasValueSequence)
        {
            return _reader.GetString()!.StartsWith(prefix, StringComparison.Ordinal);
        }

        return _reader.ValueSpan.Length >= prefix.Length && Ascii.Equals(_reader.ValueSpan[..prefix.Length], prefix);
    }

    /// <summary>Whether there is a time as servers write it, or none.</summary>
    private readonly bool IsTime()
    {
        Span<char> text = stackalloc char[20];
        return _reader.TokenType == JsonTokenType.Null
            || (_reader.TokenType == JsonTokenType.String && IsPlain() && (_reader.HasValueSequence ? _reader.ValueSequence.Length : _reader.ValueSpan.Length) == text.Length
                && _reader.CopyString(text) == text.Length
                && DateTimeOffset.TryParseExact(text, "yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out _));
    }

    /// <summary>Whether a name is certainly valid.</summary>
    private static bool IsName(string? name, int longest) => name is { Length: > 0 } && name.Length <= longest
        && char.IsAsciiLetterOrDigit(name[0]) && char.IsAsciiLetterOrDigit(name[^1]) && !name.Contains("..", StringComparison.Ordinal)
        && !name.Contains("-.", StringComparison.Ordinal) && !name.Contains(".-", StringComparison.Ordinal)
        && name.AsSpan().IndexOfAnyExcept(s_ofNames) < 0;

    private static readonly SearchValues<char> s_ofNames = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789-.");

    private static ulong FingerprintOf(EndpointSlice slice)
    {
        var hash = new Hash();
        hash.Add(slice.Service is null ? 0UL : 1UL);
        hash.Add(slice.Service ?? "");
        hash.Add(slice.Metadata.Cluster ?? "");
        // Without their number a port could stand for an address.
        hash.Add((ulong)slice.Ports.Length);
        foreach (var port in slice.Ports)
        {
            hash.Add(port.Name);
            hash.Add((ulong)(port.Number ?? 0));
        }

        foreach (var address in slice.Packed)
        {
            hash.Add((ulong)(address.Address >> 64));
            hash.Add((ulong)address.Address);
        }

        return hash.Value;
    }

    /// <summary>A hash of 64 bits at a time.</summary>
    private struct Hash()
    {
        public ulong Value { get; private set; } = 14695981039346656037;

        public void Add(ulong number)
        {
            Value = (Value ^ number) * 0x9E3779B97F4A7C15;
            Value ^= Value >> 29;
        }

        public void Add(string text)
        {
            foreach (var rune in text.EnumerateRunes())
            {
                Add((ulong)rune.Value);
            }

            Add(ulong.MaxValue);
        }
    }
}
