using System.Globalization;

namespace Keepalive.Config.Reading;

/// <summary>Finds a keepalive that is written where its kind has no such field: controllers drop it without a word.</summary>
internal static class MisplacedKeepalive
{
    /// <summary>Reports every key that looks like the keepalive's, except in its place. Readers do not report it again.</summary>
    /// <param name="spec">The mapping to search, all the way down.</param>
    /// <param name="name">The name of the field.</param>
    /// <param name="isPlace">Whether it belongs into the mapping with a path.</param>
    /// <param name="placeFor">The path of the mapping that it belongs into instead of one with a path.</param>
    public static void Report(ObjectReader spec, string name, Func<string, bool> isPlace, Func<string, string> placeFor)
    {
        Search(spec.Node, spec.Path);

        void Search(YamlNode node, string path)
        {
            switch (node)
            {
                case SequenceNode sequence:
                    for (var i = 0; i < sequence.Items.Count; i++)
                    {
                        if (sequence.Items[i] is not ScalarNode)
                        {
                            Search(sequence.Items[i], string.Create(CultureInfo.InvariantCulture, $"{path}[{i}]"));
                        }
                    }

                    break;
                case MappingNode mapping:
                    foreach (var (key, value) in mapping.Entries)
                    {
                        if (IsKeepalive(key.Value, value))
                        {
                            Judge(key, mapping, path);
                        }
                        else if (value is not ScalarNode)
                        {
                            Search(value, $"{path}.{Quoting.Shorten(key.Value)}");
                        }
                    }

                    break;
                default:
                    break;
            }
        }

        void Judge(ScalarNode key, MappingNode mapping, string path)
        {
            var isHere = isPlace(path);
            if (isHere && (key.Value == name || mapping.TryFind(name, out _)))
            {
                return;
            }

            var place = isHere ? path : placeFor(path);
            spec.Report.MarkFaulty($"{place}.{name}");
            spec.Report.MarkReported(key);
            spec.Report.Report(spec.Report.IsFromServer ? DiagnosticCatalog.MisspeltField : DiagnosticCatalog.UnknownKey, key.Position, path,
                $"has no field {Quoting.Quote(key.Value)}", isHere ? $"did you mean \"{name}\"?" : $"write {place}.{name}");
        }
    }

    /// <summary>Whether a key is a spelling of <c>tcpKeepalive</c>, or a <c>keepalive</c> with times.</summary>
    private static bool IsKeepalive(string key, YamlNode value) => KeepaliveReader.Plain(key) switch
    {
        "tcpkeepalive" => true,
        "keepalive" => value is MappingNode mapping && mapping.Entries.Any(static entry => KeepaliveReader.Meaning(entry.Key.Value, Resources.KeepaliveNames.Usual) is not null),
        _ => false,
    };
}
