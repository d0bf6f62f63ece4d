namespace Keepalive.Config.Reading;

/// <summary>The types that a reader requested for one key.</summary>
internal enum SchemaType
{
    /// <summary>Anything: the key is known and plays no part.</summary>
    Any,
    Object,
    Array,
    String,
    Integer,

    /// <summary>A string in the grammar of <see cref="GoDuration"/>.</summary>
    Duration,

    /// <summary>A mapping from strings to strings.</summary>
    StringMap,

    /// <summary>A mapping from strings to integers.</summary>
    IntegerMap,

    /// <summary>A port by number or by name, as Kubernetes writes it.</summary>
    IntegerOrString,
}

/// <summary>Writes down what a reader asks for, in the order it asks.</summary>
internal sealed class SchemaNode(SchemaType type)
{
    private readonly List<KeyValuePair<string, SchemaNode>> _properties = [];
    private readonly List<string> _required = [];

    public SchemaType Type { get; private set; } = type;

    public IReadOnlyList<KeyValuePair<string, SchemaNode>> Properties => _properties;

    public IReadOnlyList<string> Required => _required;

    /// <summary>The words it can be; empty for any.</summary>
    public IReadOnlyList<string> Words { get; private set; } = [];

    public (long Min, long Max)? Range { get; private set; }

    /// <summary>The node of every item.</summary>
    public SchemaNode? Items { get; private set; }

    /// <summary>Whether keys that were not asked for may be there.</summary>
    public bool IsOpen { get; private set; }

    /// <summary>The node of a key; asked for twice, it is what it was asked for as something rather than anything.</summary>
    public SchemaNode Property(string key, SchemaType asked)
    {
        var known = _properties.Find(property => property.Key == key).Value;
        if (known is null)
        {
            _properties.Add(new(key, known = new SchemaNode(asked)));
        }

        known.Type = known.Type == SchemaType.Any ? asked : known.Type;
        return known;
    }

    public SchemaNode Item(SchemaType asked) => Items ??= new SchemaNode(asked);

    public void Allow(IReadOnlyList<string> words) => Words = words;

    public void Between(long min, long max) => Range = (min, max);

    public void Open() => IsOpen = true;

    public void Require(string key)
    {
        if (!_required.Contains(key))
        {
            _required.Add(key);
        }
    }
}
