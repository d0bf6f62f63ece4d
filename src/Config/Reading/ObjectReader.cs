using System.Collections.Immutable;
using System.Globalization;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads one mapping of a resource key by key: checks types, and in the end reports every key nobody asked for.</summary>
/// <remarks>
/// An empty value (null) counts as absent, as for the API server. Reading with a <see cref="SchemaNode"/> instead of a document writes down
/// what was asked for: the JSON Schemas for editors are made of the readers themselves.
/// </remarks>
internal sealed class ObjectReader(MappingNode node, string path, ResourceReport report, SchemaNode? schema = null)
{
    private const string DurationFix = "write it like \"700s\" or \"1m30s\"";

    private const int MaxSuggestions = 100;

    private readonly HashSet<string> _known = new(StringComparer.Ordinal);

    /// <summary>Where the mapping starts.</summary>
    public SourcePosition Position => node.Position;

    /// <summary>The mapping's own path, such as <c>spec.config</c>.</summary>
    public string Path => path;

    /// <summary>Where problems go.</summary>
    public ResourceReport Report => report;

    /// <summary>The mapping as it is written.</summary>
    internal MappingNode Node => node;

    /// <summary>The keys that are there, with their values.</summary>
    public IReadOnlyList<KeyValuePair<ScalarNode, YamlNode>> Entries => node.Entries;

    /// <summary>The path of a key.</summary>
    public string PathOf(string key) => path.Length == 0 ? key : $"{path}.{key}";

    /// <summary>The value of a key, or null when it is absent or empty.</summary>
    public YamlNode? Value(string key)
    {
        _known.Add(key);
        if (!node.TryFind(key, out var entry) || IsBroken(entry.Value, PathOf(key)))
        {
            return null;
        }

        return entry.Value is ScalarNode { Type: ScalarType.Null } ? null : entry.Value;
    }

    /// <summary>Whether a key is written with nothing after it.</summary>
    public bool IsEmpty(string key) => node.TryFind(key, out var entry) && entry.Value is ScalarNode { Type: ScalarType.Null };

    /// <summary>Where a key is written; the mapping itself when it is absent.</summary>
    public SourcePosition KeyPosition(string key) => node.TryFind(key, out var entry) ? entry.Key.Position : Position;

    /// <summary>Names keys that are known but play no part here.</summary>
    public void Skip(params ReadOnlySpan<string> keys)
    {
        foreach (var key in keys)
        {
            _known.Add(key);
            schema?.Property(key, SchemaType.Any);
        }
    }

    /// <summary>A string.</summary>
    public Positioned<string>? String(string key)
    {
        schema?.Property(key, SchemaType.String);
        return Value(key) is { } value ? AsString(value, PathOf(key)) : null;
    }

    /// <summary>An integer or a string, as it is written.</summary>
    public ScalarNode? IntegerOrString(string key)
    {
        schema?.Property(key, SchemaType.IntegerOrString);
        switch (Value(key))
        {
            case null:
                return null;
            case ScalarNode { Type: ScalarType.Integer or ScalarType.String } scalar:
                return scalar;
            case { } other:
                ReportType(other, PathOf(key), "a number or a name", null);
                return null;
        }
    }

    /// <summary>One of a few words, or <paramref name="absent"/>.</summary>
    public T Word<T>(string key, T absent, params ReadOnlySpan<(string Word, T Value)> words)
    {
        var all = new string[words.Length];
        for (var i = 0; i < words.Length; i++)
        {
            all[i] = words[i].Word;
        }

        schema?.Property(key, SchemaType.String).Allow(all);
        if (String(key) is not { } text)
        {
            return absent;
        }

        foreach (var (word, value) in words)
        {
            if (word == text.Value)
            {
                return value;
            }
        }

        var bare = text.Value.Replace("_", "", StringComparison.Ordinal);
        var meant = Array.Find(all, word => DidYouMean.Find(bare, [word.Replace("_", "", StringComparison.Ordinal)]) is not null);
        report.Report(DiagnosticCatalog.BadValue, text.Position, PathOf(key), $"cannot be {Quoting.Quote(text.Value)}",
            meant is null ? $"write one of {string.Join(", ", all)}" : $"did you mean {meant}?");
        return absent;
    }

    /// <summary>An integer, or an error when it is absent.</summary>
    public Positioned<long>? RequiredInteger(string key, long min, long max) => Require(key) ? Integer(key, min, max) : null;

    /// <summary>A duration: a string, whose grammar is not checked here.</summary>
    public Positioned<string>? Duration(string key)
    {
        schema?.Property(key, SchemaType.Duration);
        switch (Value(key))
        {
            case null:
                return null;
            case ScalarNode { Type: ScalarType.String } text:
                return new Positioned<string>(text.Value, text.Position);
            case ScalarNode { Type: ScalarType.Integer or ScalarType.OtherNumber } number:
                var inSeconds = $"{number.Value}s";
                report.Report(DiagnosticCatalog.WrongType, number.Position, PathOf(key),
                    $"must be a duration, but {Quoting.Shorten(number.Value)} is a number without a unit",
                    GoDuration.TryParse(inSeconds, out var nanoseconds) && nanoseconds > 0
                        ? $"write {Quoting.Quote(inSeconds)} for seconds" : DurationFix);
                return null;
            case { } other:
                ReportType(other, PathOf(key), "a duration", DurationFix);
                return null;
        }
    }

    /// <summary>An integer; outside its range it is reported and returned all the same.</summary>
    /// <param name="key">The key.</param>
    /// <param name="min">The least it can be.</param>
    /// <param name="max">The most it can be.</param>
    /// <param name="reason">The origin of the range, if it is not the resource's own schema.</param>
    public Positioned<long>? Integer(string key, long min, long max, string? reason = null)
    {
        schema?.Property(key, SchemaType.Integer).Between(min, max);
        var number = Integer(key);
        if (number is { } value && (value.Value < min || value.Value > max))
        {
            report.Report(DiagnosticCatalog.NumberRange, value.Position, PathOf(key),
                $"must be {min} to {max}{(reason is null ? "" : $" ({reason})")}, but is {value.Value}",
                value.Value < min ? $"write {min} or more" : $"write {max} or less");
        }

        return number;
    }

    private Positioned<long>? Integer(string key)
    {
        switch (Value(key))
        {
            case null:
                return null;
            case ScalarNode { Type: ScalarType.Integer } scalar:
                if (long.TryParse(scalar.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number))
                {
                    return new Positioned<long>(number, scalar.Position);
                }

                report.Report(DiagnosticCatalog.NumberRange, scalar.Position, PathOf(key), $"is too large: {Quoting.Shorten(scalar.Value)}",
                    "write a smaller number");
                return null;
            case ScalarNode { Type: ScalarType.OtherNumber } scalar when ScalarTypes.TryReadInteger(scalar, out var other):
                return new Positioned<long>(other, scalar.Position);
            case ScalarNode scalar:
                var unquoted = ScalarTypes.ResolvePlain(scalar.Value) == ScalarType.Integer && scalar.Type == ScalarType.String;
                report.Report(DiagnosticCatalog.WrongType, scalar.Position, PathOf(key),
                    $"must be an integer, but {Quoting.Quote(scalar.Value)} is {scalar.Description}",
                    unquoted ? $"write {Quoting.Shorten(scalar.Value)} without quotes" : "write a whole decimal number");
                return null;
            case { } value:
                ReportType(value, PathOf(key), "an integer", null);
                return null;
        }
    }

    /// <summary>A mapping, to be read and closed by the caller.</summary>
    public ObjectReader? Object(string key)
    {
        if (schema is not null)
        {
            return new ObjectReader(node, PathOf(key), report, schema.Property(key, SchemaType.Object));
        }

        return Value(key) is { } value ? AsObject(value, PathOf(key)) : null;
    }

    /// <summary>A list.</summary>
    public SequenceNode? Sequence(string key)
    {
        if (Value(key) is { } value and not SequenceNode)
        {
            ReportType(value, PathOf(key), "a list", "start each entry with \"- \"");
            return null;
        }

        return Value(key) as SequenceNode;
    }

    /// <summary>A list of mappings, to be read and closed by the caller.</summary>
    public IEnumerable<ObjectReader> Objects(string key)
    {
        if (schema is not null)
        {
            yield return new ObjectReader(node, PathOf(key), report, schema.Property(key, SchemaType.Array).Item(SchemaType.Object));
        }

        foreach (var (item, itemPath) in Items(key))
        {
            if (AsObject(item, itemPath) is { } reader)
            {
                yield return reader;
            }
        }
    }

    /// <summary>A list of strings.</summary>
    public ImmutableArray<Positioned<string>> Strings(string key)
    {
        schema?.Property(key, SchemaType.Array).Item(SchemaType.String);
        return [.. Items(key).Select(item => AsString(item.Node, item.Path)).OfType<Positioned<string>>()];
    }

    /// <summary>A mapping from strings to strings.</summary>
    /// <param name="key">The key of the mapping.</param>
    /// <param name="duration">A key in it whose value is a duration: a bare number is most likely seconds.</param>
    public ImmutableArray<KeyValuePair<string, Positioned<string>>> StringMap(string key, string? duration = null)
    {
        schema?.Property(key, SchemaType.StringMap);
        if (schema is not null || Object(key) is not { } map)
        {
            return [];
        }

        var entries = ImmutableArray.CreateBuilder<KeyValuePair<string, Positioned<string>>>(map.Entries.Count);
        foreach (var (name, value) in map.Entries)
        {
            var valuePath = $"{map.Path}[{Quoting.Quote(name.Value)}]";
            var unit = name.Value == duration && value is ScalarNode { Type: ScalarType.Integer } ? "s" : "";
            if (!IsBroken(value, valuePath) && AsString(value, valuePath, unit) is { } text)
            {
                entries.Add(new(name.Value, text));
            }
        }

        return entries.DrainToImmutable();
    }

    /// <summary>A mapping from strings to integers.</summary>
    public ImmutableArray<KeyValuePair<string, long>> IntegerMap(string key, long min, long max)
    {
        schema?.Property(key, SchemaType.IntegerMap).Between(min, max);
        if (schema is not null || Object(key) is not { } map)
        {
            return [];
        }

        return
        [
            .. map.Entries.Select(entry => (entry.Key.Value, Number: map.Integer(entry.Key.Value, min, max)))
                .Where(static entry => entry.Number is not null)
                .Select(static entry => KeyValuePair.Create(entry.Value, entry.Number!.Value.Value)),
        ];
    }

    /// <summary>
    /// Ends the reading of a mapping whose other keys are somebody else's business: only one that is a slip of the pen is reported.
    /// </summary>
    public void CloseOpen()
    {
        schema?.Open();
        foreach (var (key, _) in node.Entries)
        {
            if (!_known.Contains(key.Value) && !report.IsReported(key) && key.Value.Length > 3 && DidYouMean.Find(key.Value, _known) is { } meant
                && Math.Abs(meant.Length - key.Value.Length) <= 1 && !node.TryFind(meant, out _))
            {
                report.MarkFaulty(PathOf(meant));
                report.Report(report.IsFromServer ? DiagnosticCatalog.MisspeltField : DiagnosticCatalog.UnknownKey, key.Position,
                    path.Length == 0 ? "the object" : path, $"has no field {Quoting.Quote(key.Value)}", $"did you mean \"{meant}\"?");
            }
        }
    }

    /// <summary>Reports every key that is there but was not asked for.</summary>
    /// <param name="suggest">Finds the key that another one means, if no key looks like it.</param>
    public void Close(Func<string, string?>? suggest = null)
    {
        var unknown = 0;
        foreach (var (key, _) in node.Entries)
        {
            if (_known.Contains(key.Value) || report.IsReported(key))
            {
                continue;
            }

            var meant = ++unknown <= MaxSuggestions ? DidYouMean.Find(key.Value, _known) ?? suggest?.Invoke(key.Value) : null;
            if (meant is not null)
            {
                report.MarkFaulty(PathOf(meant));
            }

            var fix = meant is not null ? $"did you mean \"{meant}\"?"
                : _known.Count == 0 ? "remove it"
                : $"known here: {string.Join(", ", _known.Order(StringComparer.Ordinal))}";
            // The server has passed it: beside the field that it resembles, it is one of a newer version; without that, it is a slip.
            var kind = !report.IsFromServer ? DiagnosticCatalog.UnknownKey
                : meant is not null && !node.TryFind(meant, out _) ? DiagnosticCatalog.MisspeltField
                : DiagnosticCatalog.NewerField;
            report.Report(kind, key.Position, path.Length == 0 ? "the object" : path, $"has no field {Quoting.Quote(key.Value)}",
                kind == DiagnosticCatalog.NewerField ? null : fix);
        }
    }

    /// <summary>Whether a required key is there. Reports it unless a misspelt one is, which <see cref="Close"/> will report.</summary>
    /// <param name="key">The key.</param>
    /// <param name="closes">False when the mapping may have unknown keys, so that nothing will report those.</param>
    public bool Require(string key, bool closes = true)
    {
        schema?.Require(key);
        if (schema is not null || Value(key) is not null)
        {
            return true;
        }

        var misspelt = node.Entries.Any(entry => !_known.Contains(entry.Key.Value) && DidYouMean.Find(entry.Key.Value, [key]) is not null);
        if (!report.IsFaulty(PathOf(key)) && !(misspelt && closes))
        {
            report.Report(DiagnosticCatalog.Missing, KeyPosition(key), PathOf(key), "is required", $"add \"{key}\"");
        }

        return false;
    }

    private IEnumerable<(YamlNode Node, string Path)> Items(string key)
    {
        var items = Sequence(key)?.Items ?? [];
        for (var i = 0; i < items.Count; i++)
        {
            var itemPath = string.Create(CultureInfo.InvariantCulture, $"{PathOf(key)}[{i}]");
            if (!IsBroken(items[i], itemPath))
            {
                yield return (items[i], itemPath);
            }
        }
    }

    private bool IsBroken(YamlNode value, string valuePath)
    {
        var broken = value is ScalarNode { Type: ScalarType.Broken };
        if (broken)
        {
            report.MarkFaulty(valuePath);
        }

        return broken;
    }

    private Positioned<string>? AsString(YamlNode value, string valuePath, string unit = "")
    {
        if (value is ScalarNode { Type: ScalarType.String } scalar)
        {
            return new Positioned<string>(scalar.Value, scalar.Position);
        }

        ReportType(value, valuePath, "a string",
            value is ScalarNode { Type: not ScalarType.Null } other ? $"write \"{Quoting.Shorten(other.Value)}{unit}\" in quotes" : null);
        return null;
    }

    private ObjectReader? AsObject(YamlNode value, string valuePath)
    {
        if (value is MappingNode mapping)
        {
            return new ObjectReader(mapping, valuePath, report);
        }

        ReportType(value, valuePath, "a mapping", null);
        return null;
    }

    private void ReportType(YamlNode value, string valuePath, string expected, string? fix)
    {
        var found = value is ScalarNode { Type: not ScalarType.Null } scalar
            ? $"{Quoting.Quote(scalar.Value)} is {scalar.Description}"
            : $"it is {value.Description}";
        report.Report(DiagnosticCatalog.WrongType, value.Position, valuePath, $"must be {expected}, but {found}", fix);
    }
}
