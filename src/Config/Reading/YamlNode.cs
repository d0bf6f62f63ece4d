namespace Keepalive.Config.Reading;

/// <summary>A node of a YAML document and where it starts. An alias is the node it refers to.</summary>
/// <param name="position">Where the node starts.</param>
internal abstract class YamlNode(SourcePosition position)
{
    public SourcePosition Position { get; } = position;

    /// <summary>Nodes in this tree when every alias is followed.</summary>
    public long ExpandedSize { get; protected set; } = 1;

    /// <summary>Levels of collections below and including this one.</summary>
    public int Height { get; protected set; }

    /// <summary>Its description for a message: <c>a number</c>, <c>a list</c>.</summary>
    public abstract string Description { get; }

    protected void Count(YamlNode child)
    {
        ExpandedSize += child.ExpandedSize;
        Height = Math.Max(Height, child.Height + 1);
    }
}

/// <summary>A single value.</summary>
internal sealed class ScalarNode(SourcePosition position, string value, ScalarType type) : YamlNode(position)
{
    public string Value { get; } = value;

    public ScalarType Type { get; } = type;

    /// <summary>The columns before each line of a string that is written as a literal block; null for other scalars.</summary>
    public int? BlockIndentation { get; init; }

    public override string Description => Type switch
    {
        ScalarType.Null => "empty",
        ScalarType.Boolean => "a boolean",
        ScalarType.Integer or ScalarType.OtherNumber => "a number",
        _ => "a string",
    };
}

/// <summary>A list.</summary>
internal sealed class SequenceNode : YamlNode
{
    private readonly List<YamlNode> _items = [];

    public SequenceNode(SourcePosition position)
        : base(position) => Height = 1;

    public IReadOnlyList<YamlNode> Items => _items;

    public override string Description => "a list";

    public void Add(YamlNode item)
    {
        _items.Add(item);
        Count(item);
    }
}

/// <summary>Keys and values in the order they are written. Keys are distinct strings.</summary>
internal sealed class MappingNode : YamlNode
{
    private readonly List<KeyValuePair<ScalarNode, YamlNode>> _entries = [];
    private Dictionary<string, int>? _index;

    public MappingNode(SourcePosition position)
        : base(position) => Height = 1;

    public IReadOnlyList<KeyValuePair<ScalarNode, YamlNode>> Entries => _entries;

    public override string Description => "a mapping";

    /// <summary>The entry with this key.</summary>
    public bool TryFind(string key, out KeyValuePair<ScalarNode, YamlNode> entry)
    {
        var found = Find(key);
        entry = found < 0 ? default : _entries[found];
        return found >= 0;
    }

    /// <summary>Adds an entry whose key is not there yet.</summary>
    public void Add(ScalarNode key, YamlNode value)
    {
        _index?.Add(key.Value, _entries.Count);
        _entries.Add(new(key, value));
        ExpandedSize++;
        Count(value);
    }

    /// <summary>Takes over the entries of the values of <c>&lt;&lt;</c> keys; what is written here, or came first, stays.</summary>
    public void ApplyMerges(IReadOnlyList<YamlNode> sources, DiagnosticBag diagnostics)
    {
        foreach (var source in sources.SelectMany(static source => (source as SequenceNode)?.Items ?? [source]))
        {
            if (source is not MappingNode mapping)
            {
                diagnostics.Report(DiagnosticCatalog.WrongType, source.Position,
                    $"<< must name a mapping to merge, but this is {source.Description}", "write an alias of a mapping");
                continue;
            }

            foreach (var (key, value) in mapping._entries)
            {
                if (Find(key.Value) < 0)
                {
                    Add(key, value);
                }
            }
        }
    }

    private int Find(string key)
    {
        // Most mappings are small; a hash table for each would be most of the tree's memory.
        if (_index is null && _entries.Count > 16)
        {
            _index = new Dictionary<string, int>(_entries.Count * 2, StringComparer.Ordinal);
            for (var i = 0; i < _entries.Count; i++)
            {
                _index.Add(_entries[i].Key.Value, i);
            }
        }

        return _index is null ? _entries.FindIndex(entry => entry.Key.Value == key) : _index.GetValueOrDefault(key, -1);
    }
}
