using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Keepalive.Config.Reading;

/// <summary>Reads an object of the API server into the tree that YAML documents are read into, without what no reader asks for.</summary>
/// <remarks>
/// A server adds to each object who wrote which field, when, and what became of it: more than half of the text, and most of the changes.
/// Left out here, it costs no memory, and a fingerprint of the rest tells whether anything that matters has changed.
/// </remarks>
internal ref struct JsonTreeReader
{
    private const int MaxDepth = InputLimits.Depth;
    private const ulong FingerprintBasis = 14695981039346656037;
    private const ulong FingerprintPrime = 1099511628211;

    private static readonly Dictionary<string, string> s_names = new(StringComparer.Ordinal);
    private static readonly Dictionary<string, string>.AlternateLookup<ReadOnlySpan<char>> s_namesBySpan = s_names.GetAlternateLookup<ReadOnlySpan<char>>();
    private static readonly Lock s_namesLock = new();

    private readonly SourcePosition _position;
    private readonly bool _hasStatus;
    private readonly bool _isSlice;
    private Utf8JsonReader _reader;
    private ulong _fingerprint = FingerprintBasis;

    private JsonTreeReader(in ReadOnlySequence<byte> json, SourcePosition position, string kind)
    {
        _position = position;
        _hasStatus = kind == Resources.Service.KindName;
        _isSlice = kind == Resources.EndpointSlice.KindName;
        _reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
    }

    /// <summary>Reads an object.</summary>
    /// <param name="json">Its text.</param>
    /// <param name="position">The position of every node.</param>
    /// <param name="kind">The object's kind.</param>
    /// <param name="fingerprint">The same for equal trees.</param>
    /// <exception cref="JsonException">That is no JSON object.</exception>
    public static MappingNode Read(in ReadOnlySequence<byte> json, SourcePosition position, string kind, out ulong fingerprint)
    {
        var reader = new JsonTreeReader(in json, position, kind);
        reader._reader.Read();
        if (reader._reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("not an object");
        }

        var root = reader.ReadMapping(Place.Object);
        fingerprint = reader._fingerprint;
        return root;
    }

    private enum Place
    {
        Object,
        Metadata,
        Annotations,
        Endpoints,
        Endpoint,
        Elsewhere,
    }

    private YamlNode ReadValue(Place place)
    {
        Mix((byte)_reader.TokenType);
        switch (_reader.TokenType)
        {
            case JsonTokenType.StartObject:
                return ReadMapping(place == Place.Endpoints ? Place.Endpoint : place);
            case JsonTokenType.StartArray:
                var sequence = new SequenceNode(_position);
                while (_reader.Read() && _reader.TokenType != JsonTokenType.EndArray)
                {
                    sequence.Add(ReadValue(place));
                }

                Mix((byte)JsonTokenType.EndArray);
                return sequence;
            case JsonTokenType.String:
                MixText();
                return new ScalarNode(_position, SharedTexts.Read(in _reader), ScalarType.String);
            case JsonTokenType.Number:
                MixText();
                var number = Encoding.UTF8.GetString(_reader.HasValueSequence ? _reader.ValueSequence.ToArray() : _reader.ValueSpan);
                return new ScalarNode(_position, number, ScalarTypes.ResolvePlain(number) == ScalarType.Integer ? ScalarType.Integer : ScalarType.OtherNumber);
            case JsonTokenType.True or JsonTokenType.False:
                return new ScalarNode(_position, _reader.TokenType == JsonTokenType.True ? "true" : "false", ScalarType.Boolean);
            default:
                return new ScalarNode(_position, "null", ScalarType.Null);
        }
    }

    private MappingNode ReadMapping(Place place)
    {
        var mapping = new MappingNode(_position);
        while (_reader.Read() && _reader.TokenType != JsonTokenType.EndObject)
        {
            var name = ReadName();
            _reader.Read();
            if (IsLeftOut(place, name) || mapping.TryFind(name, out _))
            {
                _reader.Skip();
                continue;
            }

            foreach (var c in name)
            {
                Mix((byte)c);
            }

            mapping.Add(new ScalarNode(_position, name, ScalarType.String), ReadValue(Below(place, name)));
        }

        Mix((byte)JsonTokenType.EndObject);
        return mapping;
    }

    private static Place Below(Place place, string name) => (place, name) switch
    {
        (Place.Object, "metadata") => Place.Metadata,
        (Place.Object, "endpoints") => Place.Endpoints,
        (Place.Metadata, "annotations") => Place.Annotations,
        _ => Place.Elsewhere,
    };

    private readonly bool IsLeftOut(Place place, string name) => place switch
    {
        Place.Object => name == "status" && !_hasStatus,
        Place.Metadata => name is not ("name" or "namespace" or "labels" or "annotations" or "creationTimestamp"),
        // Among the others is the whole object as kubectl applied it.
        Place.Annotations => !name.StartsWith(Resources.AgentAnnotations.Prefix, StringComparison.Ordinal)
            && !name.StartsWith("cluster.solo.io/", StringComparison.Ordinal),
        Place.Endpoint => _isSlice && name != "addresses",
        _ => false,
    };

    /// <summary>The name of a field: few of them are in use, and each is kept once.</summary>
    private readonly string ReadName()
    {
        const int longest = 128;
        const int most = 4096;
        if (_reader.HasValueSequence || _reader.ValueSpan.Length > longest)
        {
            return _reader.GetString()!;
        }

        Span<char> buffer = stackalloc char[longest];
        var text = buffer[.._reader.CopyString(buffer)];
        lock (s_namesLock)
        {
            if (s_namesBySpan.TryGetValue(text, out var known))
            {
                return known;
            }

            var name = text.ToString();
            if (s_names.Count < most)
            {
                s_names.Add(name, name);
            }

            return name;
        }
    }

    private void MixText()
    {
        if (_reader.HasValueSequence)
        {
            foreach (var part in _reader.ValueSequence)
            {
                Mix(part.Span);
            }
        }
        else
        {
            Mix(_reader.ValueSpan);
        }

        Mix((byte)'"');
    }

    private void Mix(ReadOnlySpan<byte> bytes)
    {
        foreach (var b in bytes)
        {
            Mix(b);
        }
    }

    /// <summary>FNV-1a, 64 bits.</summary>
    private void Mix(byte b) => _fingerprint = (_fingerprint ^ b) * FingerprintPrime;
}
