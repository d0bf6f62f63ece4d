using System.Collections.Immutable;
using Keepalive.Config.Resources;
using Keepalive.Config.Validation;

namespace Keepalive.Config.Reading;

/// <summary>
/// One read: collects resources and diagnostics from any number of texts, within limits that hold for all of them together.
/// </summary>
internal sealed class ReadSession(bool fromServer = false)
{
    private readonly ImmutableArray<Resource>.Builder _resources = ImmutableArray.CreateBuilder<Resource>();
    private readonly Dictionary<(string Kind, string Name), SourcePosition> _defined = [];
    private long _nodes;
    private int _documents;

    public DiagnosticBag Diagnostics { get; private set; } = new() { IsFromServer = fromServer };

    /// <summary>Reads all documents of one text.</summary>
    public void ReadText(string text, string file) => ReadText(text, new SourcePosition(file, 1, 1));

    private void ReadText(string text, SourcePosition start)
    {
        if (!TextCheck.Check(text, start, Diagnostics))
        {
            return;
        }

        text = TextCheck.Normalize(text);
        var any = false;
        foreach (var document in DocumentSplitter.Split(text))
        {
            if (_documents >= InputLimits.Documents || _nodes > InputLimits.Nodes)
            {
                var what = _nodes > InputLimits.Nodes ? $"{InputLimits.Nodes} values" : $"{InputLimits.Documents} documents";
                Diagnostics.Report(DiagnosticCatalog.TooLarge, start.At(document.FirstLine, 1),
                    $"the input has more than {what}; this and what follows is not read", "leave out what is no policy");
                return;
            }

            any |= Placeholder.Find(text, document) is { Count: > 0 } placeholders
                ? ReadTemplate(text, start, document, placeholders)
                : ReadDocument(text, start, document);
        }

        if (!any)
        {
            Diagnostics.Report(DiagnosticCatalog.NoDocuments, start, "the file holds no document",
                "write a resource into it, or leave it out");
        }
    }

    /// <summary>Reads an object that may leave it to others to say what it is.</summary>
    public void ReadObject(MappingNode root, string apiVersion, string kind)
    {
        foreach (var (key, value) in (ReadOnlySpan<(string, string)>)[("apiVersion", apiVersion), ("kind", kind)])
        {
            if (!root.TryFind(key, out _))
            {
                root.Add(new ScalarNode(root.Position, key, ScalarType.String), new ScalarNode(root.Position, value, ScalarType.String));
            }
        }

        ReadObject(root, errorsBefore: 0);
    }

    public ReadResult ToResult(int files) =>
        new(new ResourceSet(_resources.ToImmutable()), Diagnostics.ToSorted()) { Files = files };

    /// <summary>Reads a document with placeholders. All errors that these cause become one, which says so.</summary>
    private bool ReadTemplate(string text, SourcePosition start, DocumentText document, List<Placeholder> placeholders)
    {
        var (all, read) = (Diagnostics, _resources.Count);
        Diagnostics = new DiagnosticBag { IsFromServer = all.IsFromServer };
        var any = ReadDocument(text, start, document);
        var found = Diagnostics.ToSorted();
        Diagnostics = all;
        var lines = placeholders.Select(placeholder => start.At(placeholder.Line, 1).Line).ToHashSet();
        // A text in the data of a ConfigMap has said so itself.
        var caused = found.Where(one => one.Severity == Severity.Error && (one.Position.Within is null) == (start.Within is null) && (DiagnosticCatalog.IsOfSyntax(one.Code) || lines.Contains(one.Position.Line))).ToHashSet();
        foreach (var diagnostic in found.Where(one => !caused.Contains(one)))
        {
            all.Add(diagnostic);
        }

        if (caused.Count > 0)
        {
            _resources.Count = read;
            var at = placeholders.Find(placeholder => caused.Any(one => one.Position.Line == start.At(placeholder.Line, 1).Line));
            var (message, fix) = (at.Text is null ? at = placeholders[0] : at).Explain();
            all.Report(DiagnosticCatalog.Template, start.At(at.Line, at.Column), message, fix);
        }

        return any;
    }

    private bool ReadDocument(string text, SourcePosition start, DocumentText document)
    {
        _documents++;
        var errorsBefore = Diagnostics.ErrorCount;
        var tree = new YamlTreeReader(start, text, document, Diagnostics);
        var roots = tree.Read(InputLimits.Nodes - _nodes);
        _nodes += tree.NodeCount;
        var any = Diagnostics.ErrorCount > errorsBefore;
        foreach (var root in roots)
        {
            if (root is not ScalarNode { Type: ScalarType.Null })
            {
                any = true;
                ReadObject(root, errorsBefore);
            }
        }

        return any;
    }

    private void ReadObject(YamlNode node, int errorsBefore)
    {
        if (node is not MappingNode mapping)
        {
            Diagnostics.Report(DiagnosticCatalog.NotAnObject, node.Position,
                $"a document must be a Kubernetes object, but this is {node.Description}", "start it with \"apiVersion:\" and \"kind:\"");
            return;
        }

        var report = new ResourceReport(Diagnostics, "object");
        var root = new ObjectReader(mapping, "", report);
        if (root.Value("apiVersion") is null || root.Value("kind") is null)
        {
            var missing = root.Value("apiVersion") is null ? root.Value("kind") is null ? "apiVersion and kind" : "apiVersion" : "kind";
            Diagnostics.Report(DiagnosticCatalog.NotAnObject, node.Position,
                $"a document must be a Kubernetes object, but this has no {missing}", $"add {missing}");
            return;
        }

        if (root.String("apiVersion") is not { } apiVersion || root.String("kind") is not { } kindName)
        {
            return;
        }

        if (kindName.Value == "List" && apiVersion.Value == "v1")
        {
            ReadList(root, errorsBefore);
        }
        else if (kindName.Value.EndsWith("List", StringComparison.Ordinal) && ResourceKind.Find(kindName.Value[..^4], apiVersion.Value) is { } listed
            && !listed.IsAnother(apiVersion.Value))
        {
            ReadList(root, errorsBefore, (apiVersion, new(listed.Name, kindName.Position)));
        }
        else if (ResourceKind.Find(kindName.Value, apiVersion.Value) is { } kind)
        {
            if (!kind.IsOfUse(mapping))
            {
                if (kind.Name == ConfigMapTexts.KindName && !Diagnostics.IsFromServer && ReadConfigMap(mapping))
                {
                    return;
                }

                Diagnostics.Report(DiagnosticCatalog.SkippedKind, kindName.Position, $"objects of kind {kind.Name} are skipped");
                return;
            }

            if (kind.IsAnother(apiVersion.Value))
            {
                Diagnostics.Report(DiagnosticCatalog.SkippedKind, kindName.Position,
                    $"objects of kind {kind.Name} in {Quoting.Shorten(apiVersion.Value)} are skipped");
                return;
            }

            report.Subject = kind.Name;
            ReadResource(kind, root, apiVersion, errorsBefore);
        }
        else
        {
            ReportUnknownKind(apiVersion, kindName);
        }
    }

    /// <summary>Reads the documents in the data of a ConfigMap: of most installations, policies are nowhere else.</summary>
    /// <returns>Whether there are any.</returns>
    private bool ReadConfigMap(MappingNode configMap)
    {
        // The text of one inside another has no place of its own in the file.
        var texts = configMap.Position.Within is null ? ConfigMapTexts.Find(configMap) : [];
        foreach (var (text, place) in texts)
        {
            ReadText(text, new SourcePosition(place, 1, 1));
        }

        return texts.Count > 0;
    }

    /// <summary>Reads the objects of a list. The API server leaves kind and apiVersion out of those in a list of one kind.</summary>
    private void ReadList(ObjectReader root, int errorsBefore, (Positioned<string> ApiVersion, Positioned<string> Kind)? of = null)
    {
        root.Report.Subject = of is { } named ? named.Kind.Value + "List" : "List";
        var isNull = root.Entries.Any(static entry => entry.Key.Value == "items") && root.Value("items") is null;
        var items = isNull || root.Require("items") ? root.Sequence("items") : null;
        root.Skip("metadata");
        root.Close();
        if (items is null && !isNull)
        {
            return;
        }

        if (items is not { Items.Count: > 0 })
        {
            Diagnostics.Report(DiagnosticCatalog.SkippedKind, root.KeyPosition("items"), "the list is empty");
            return;
        }

        foreach (var item in items.Items)
        {
            if (of is { } kind && item is MappingNode mapping)
            {
                AddWhereMissing(mapping, "apiVersion", kind.ApiVersion);
                AddWhereMissing(mapping, "kind", kind.Kind);
            }

            ReadObject(item, errorsBefore);
            errorsBefore = Diagnostics.ErrorCount;
        }
    }

    private static void AddWhereMissing(MappingNode mapping, string key, Positioned<string> value)
    {
        if (!mapping.TryFind(key, out _))
        {
            mapping.Add(new ScalarNode(value.Position, key, ScalarType.String), new ScalarNode(value.Position, value.Value, ScalarType.String));
        }
    }

    private void ReadResource(ResourceKind kind, ObjectReader root, Positioned<string> apiVersion, int errorsBefore)
    {
        var report = root.Report;
        var metadata = kind.Unnamed is { } unnamed ? MetadataReader.ReadOr(root, unnamed.Namespace, unnamed.Name) : MetadataReader.Read(root);
        if (!kind.ApiVersions.Contains(apiVersion.Value))
        {
            report.Report(DiagnosticCatalog.WrongApiVersion, apiVersion.Position, "apiVersion",
                $"cannot be {Quoting.Quote(apiVersion.Value)} for this kind", $"write {kind.ApiVersions[0]}");
        }

        root.Skip("status");
        Resource? resource = null;
        if ((kind.HasSpec ? root.Require("spec") ? root.Object("spec") : null : root) is { } spec)
        {
            // A nameless object is read all the same, to report the rest of its problems at once.
            resource = kind.Read(metadata ?? new ObjectMetadata { Name = new("", root.Position), Namespace = "default" }, root, spec);
        }

        root.Close();
        if (metadata is not null)
        {
            MetadataValidator.Validate(metadata, kind.Annotations, report);
        }

        if (metadata is null || resource is null)
        {
            return;
        }

        kind.Validate(resource, report);
        if (kind.IsUnique && !_defined.TryAdd((kind.Name, resource.QualifiedName), resource.Position))
        {
            report.Report(DiagnosticCatalog.DefinedTwice, resource.Position, "metadata.name",
                $"is already taken at {_defined[(kind.Name, resource.QualifiedName)]}", "remove or rename one of the two");
        }

        _resources.Add(resource with { IsValid = Diagnostics.ErrorCount == errorsBefore });
    }

    private void ReportUnknownKind(Positioned<string> apiVersion, Positioned<string> kindName)
    {
        var meant = DidYouMean.Find(kindName.Value, ResourceKind.All.Select(static kind => kind.Name));
        var group = ResourceKind.GroupOf(apiVersion.Value);
        if (meant is not null && ResourceKind.GroupOf(ResourceKind.Find(meant, apiVersion.Value)!.ApiVersions[0]) == group && group.Length > 0)
        {
            Diagnostics.Report(DiagnosticCatalog.BadValue, kindName.Position,
                $"there is no kind {Quoting.Quote(kindName.Value)} in {Quoting.Shorten(group)}", $"did you mean {meant}?");
            return;
        }

        Diagnostics.Report(DiagnosticCatalog.SkippedKind, kindName.Position,
            $"objects of kind {Quoting.Shorten(kindName.Value)} are skipped");
    }
}
