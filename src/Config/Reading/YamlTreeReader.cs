using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Keepalive.Config.Reading;

/// <summary>Turns the parser's events for one document into nodes with positions, and refuses what would cost too much.</summary>
/// <remarks>Aliases share the node they refer to, so a document that expands to gigabytes costs no more than its text; what
/// walking it would cost is counted and bounded all the same.</remarks>
internal sealed class YamlTreeReader(SourcePosition source, string text, DocumentText document, DiagnosticBag diagnostics)
{
    private readonly Dictionary<string, YamlNode> _anchors = new(StringComparer.Ordinal);
    private readonly HashSet<string> _openAnchors = new(StringComparer.Ordinal);
    private readonly Stack<Frame> _open = new();
    private readonly List<YamlNode> _roots = [];
    private long _aliasedNodes;
    private bool _stopped;
    private bool _tabReported;

    public YamlTreeReader(string file, string text, DocumentText document, DiagnosticBag diagnostics)
        : this(new SourcePosition(file, 1, 1), text, document, diagnostics)
    {
    }

    /// <summary>The nodes made, with those that aliases repeat.</summary>
    public long NodeCount { get; private set; }

    /// <summary>Reads the document: normally one root; none when it is malformed, more when its marks are unusual.</summary>
    public IReadOnlyList<YamlNode> Read(long nodesLeft)
    {
        Parser? parser = null;
        try
        {
            parser = new Parser(new StringReader(text.Substring(document.Start, document.Length)));
            while (!_stopped && parser.MoveNext())
            {
                Handle(parser.Current!);
                if (NodeCount > Math.Min(nodesLeft, InputLimits.DocumentNodes))
                {
                    Stop(DiagnosticCatalog.TooLarge, Position(parser.Current!.Start),
                        NodeCount > nodesLeft ? $"the input has more than {InputLimits.Nodes} values"
                            : $"the document has more than {InputLimits.DocumentNodes} values", "split it, or remove other objects");
                }
            }
        }
        catch (YamlException exception)
        {
            ReportSyntax(exception.Start, exception.Message);
        }
        catch (Exception exception) when (exception is InvalidOperationException or ArgumentException or IndexOutOfRangeException
            or FormatException or OverflowException or KeyNotFoundException or NullReferenceException)
        {
            // The parser's own checks leak out on some malformed input, without a position; the last event is near.
            ReportSyntax(parser?.Current?.End ?? Mark.Empty, "");
        }

        return _stopped ? [] : _roots;
    }

    private void Handle(ParsingEvent parsingEvent)
    {
        switch (parsingEvent)
        {
            case Scalar scalar:
                AddNode(ToNode(scalar), scalar.Anchor, scalar.Start);
                break;
            case AnchorAlias alias:
                AddAlias(alias);
                break;
            case MappingStart start:
                CheckTag(start);
                Open(new MappingNode(Position(start.Start)), start, start.Style == MappingStyle.Block);
                break;
            case SequenceStart start:
                CheckTag(start);
                Open(new SequenceNode(Position(start.Start)), start, start.Style == SequenceStyle.Block);
                break;
            case MappingEnd or SequenceEnd:
                Close();
                break;
            default:
                break;
        }
    }

    private ScalarNode ToNode(Scalar scalar)
    {
        if (ScalarTypes.Resolve(scalar) is { } type)
        {
            return new ScalarNode(Position(scalar.Start), scalar.Value, type)
            {
                BlockIndentation = scalar.Style == ScalarStyle.Literal ? IndentationBelow(scalar.Start) : null,
            };
        }

        ReportTag(scalar);
        return new ScalarNode(Position(scalar.Start), scalar.Value, ScalarType.Broken);
    }

    /// <summary>The indentation of the first line with text below a position, where a literal block begins.</summary>
    private int IndentationBelow(Mark start)
    {
        var rest = text.AsSpan(Math.Min(document.Start + (int)start.Index, text.Length));
        var first = true;
        foreach (var line in rest.EnumerateLines())
        {
            if (!first && !line.IsWhiteSpace())
            {
                return line.Length - line.TrimStart(' ').Length;
            }

            first = false;
        }

        return 0;
    }

    private void CheckTag(NodeEvent start)
    {
        if (!ScalarTypes.IsCoreCollection(start.Tag))
        {
            ReportTag(start);
        }
    }

    private void ReportTag(NodeEvent node) => diagnostics.Report(DiagnosticCatalog.UnsupportedYaml, Position(node.Start),
        $"the tag {Quoting.Quote(node.Tag.Value)} means nothing in a Kubernetes object", "remove it");

    private void Open(YamlNode node, NodeEvent start, bool isBlock)
    {
        if (_open.Count >= InputLimits.Depth)
        {
            Stop(DiagnosticCatalog.TooDeep, node.Position, $"more than {InputLimits.Depth} collections inside each other",
                "flatten it; no resource read here needs more than a dozen");
            return;
        }

        var anchor = start.Anchor.IsEmpty ? null : start.Anchor.Value;
        if (anchor is not null)
        {
            _openAnchors.Add(anchor);
        }

        if (isBlock)
        {
            CheckIndentation(start.Start);
        }

        _open.Push(new Frame(node, start.Start, anchor, isBlock));
    }

    private void Close()
    {
        var frame = _open.Pop();
        if (frame.Anchor is not null)
        {
            _openAnchors.Remove(frame.Anchor);
        }

        (frame.Node as MappingNode)?.ApplyMerges(frame.Merges, diagnostics);
        AddNode(frame.Node, frame.Anchor is null ? default : new AnchorName(frame.Anchor), frame.Start);
    }

    private void AddAlias(AnchorAlias alias)
    {
        var name = alias.Value.Value;
        var position = Position(alias.Start);
        if (_openAnchors.Contains(name) || !_anchors.TryGetValue(name, out var target))
        {
            var message = _openAnchors.Contains(name)
                ? $"the alias *{Quoting.Shorten(name)} refers to the value it is part of"
                : $"the alias *{Quoting.Shorten(name)} refers to an anchor that is not defined before it";
            diagnostics.Report(DiagnosticCatalog.BadAlias, position, message, "write the value out");
            target = new ScalarNode(position, "", ScalarType.Broken);
        }

        if (_open.Count + target.Height > InputLimits.Depth)
        {
            Stop(DiagnosticCatalog.TooDeep, position, $"with this alias, more than {InputLimits.Depth} collections are inside each other",
                "write the value out");
            return;
        }

        _aliasedNodes += target.ExpandedSize;
        if (_aliasedNodes > InputLimits.ExpandedNodes)
        {
            Stop(DiagnosticCatalog.AliasExplosion, position,
                $"aliases expand this document by more than {InputLimits.ExpandedNodes} values", "write the values out");
            return;
        }

        AddNode(target, default, alias.Start);
        NodeCount += target.ExpandedSize - 1;
    }

    private void AddNode(YamlNode node, AnchorName anchor, Mark start)
    {
        NodeCount++;
        if (!anchor.IsEmpty)
        {
            _anchors[anchor.Value] = node;
        }

        if (_open.Count == 0)
        {
            _roots.Add(node);
        }
        else if (_open.Peek() is { Node: MappingNode mapping } frame)
        {
            AddToMapping(frame, mapping, node, start);
        }
        else
        {
            ((SequenceNode)_open.Peek().Node).Add(node);
        }
    }

    private void AddToMapping(Frame frame, MappingNode mapping, YamlNode node, Mark start)
    {
        if (!frame.ExpectsValue)
        {
            frame.ExpectsValue = true;
            frame.Key = node as ScalarNode;
            if (frame.Key is null)
            {
                diagnostics.Report(DiagnosticCatalog.UnsupportedYaml, Position(start), $"a key must be a string, not {node.Description}",
                    "write a plain key");
            }
            else if (mapping.TryFind(frame.Key.Value, out var first))
            {
                diagnostics.Report(DiagnosticCatalog.DuplicateKey, Position(start),
                    $"the key {Quoting.Quote(frame.Key.Value)} is written twice, first in line {first.Key.Position.Line}",
                    "remove one of the two");
                frame.Key = null;
            }

            if (frame.IsBlock)
            {
                CheckIndentation(start);
            }

            return;
        }

        frame.ExpectsValue = false;
        if (frame.Key is { Value: "<<", Type: ScalarType.String })
        {
            frame.Merges.Add(node);
        }
        else if (frame.Key is { Value: "managedFields" })
        {
            // Half of what a cluster dumps, and nobody's business but the API server's.
            NodeCount -= node.ExpandedSize;
        }
        else if (frame.Key is not null)
        {
            mapping.Add(frame.Key, node);
        }
    }

    /// <summary>The parser lets some tabs pass that other readers refuse; a tab before a line's first token is always wrong.</summary>
    private void CheckIndentation(Mark start)
    {
        var lineStart = Math.Min(document.Start + (int)start.Index, text.Length);
        var tab = -1;
        while (lineStart > document.Start && text[lineStart - 1] is ' ' or '\t' or '-' or '?')
        {
            lineStart--;
            tab = text[lineStart] == '\t' ? lineStart : tab;
        }

        if (tab >= 0 && (lineStart == document.Start || text[lineStart - 1] is '\n' or '\r'))
        {
            ReportTab(At(start.Line, tab - lineStart + 1));
        }
    }

    private void ReportTab(SourcePosition position)
    {
        if (!_tabReported)
        {
            _tabReported = true;
            diagnostics.Report(DiagnosticCatalog.Tab, position, "a tab is used for indentation, where YAML allows only spaces",
                "replace the tab by spaces");
        }
    }

    /// <summary>The first tab in the indentation of this line or one behind it, where the parser tripped over it.</summary>
    private SourcePosition? FindTab(Mark from)
    {
        var lineNumber = 0;
        foreach (var line in text.AsSpan(document.Start, document.Length).EnumerateLines())
        {
            var tab = line[..(line.Length - line.TrimStart(" \t").Length)].IndexOf('\t');
            if (++lineNumber >= from.Line && tab >= 0)
            {
                return source.At(document.FirstLine + lineNumber - 1, tab + 1);
            }
        }

        return null;
    }

    private void ReportSyntax(Mark mark, string parserMessage)
    {
        _stopped = true;
        if (parserMessage.Contains("tab", StringComparison.Ordinal) && FindTab(mark) is { } tab)
        {
            ReportTab(tab);
            return;
        }

        var (message, fix) = YamlSyntax.Explain(parserMessage);
        var (position, end) = (Position(mark), End());
        diagnostics.Report(DiagnosticCatalog.Syntax, position > end ? end : position, message, fix);
    }

    /// <summary>The end of the document: where text is missing, the parser points to the line after it.</summary>
    private SourcePosition End()
    {
        var end = TextCheck.PositionOf(text.AsSpan(document.Start, document.Length), "");
        return At(end.Line, end.Column + (end.Line == 1 ? document.FirstColumn - 1 : 0));
    }

    private void Stop(DiagnosticKind kind, SourcePosition position, string message, string fix)
    {
        _stopped = true;
        diagnostics.Report(kind, position, message, fix);
    }

    private SourcePosition Position(Mark mark) =>
        At(Math.Max(mark.Line, 1), Math.Max(mark.Column, 1) + (mark.Line <= 1 ? document.FirstColumn - 1 : 0));

    /// <summary>A place by the document's own lines.</summary>
    private SourcePosition At(long line, long column) => source.At(document.FirstLine + (int)line - 1, (int)column);

    private sealed class Frame(YamlNode node, Mark start, string? anchor, bool isBlock)
    {
        public YamlNode Node => node;

        public Mark Start => start;

        public string? Anchor => anchor;

        public bool IsBlock => isBlock;

        public bool ExpectsValue { get; set; }

        public ScalarNode? Key { get; set; }

        public List<YamlNode> Merges { get; } = [];
    }
}
