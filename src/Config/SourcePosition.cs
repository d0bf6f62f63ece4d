namespace Keepalive.Config;

/// <summary>A place in an input file.</summary>
public readonly record struct SourcePosition : IComparable<SourcePosition>
{
    /// <summary>The file, or the text in a value of it: one field for both, because there are as many positions as values.</summary>
    private readonly object? _source;
    private readonly int _line;
    private readonly int _column;

    /// <summary>Makes a place in a file.</summary>
    /// <param name="file">The path as the user gave it, or a name such as <c>kubernetes</c> for text that is no file.</param>
    /// <param name="line">Line, from 1; 0 where the file is no text but an object such as <c>ConnectionPolicy bookinfo/tcp-keepalive</c>.</param>
    /// <param name="column">Column in UTF-16 units, from 1; 0 as for the line.</param>
    public SourcePosition(string file, int line, int column)
        : this((object)file, line, column)
    {
    }

    /// <summary>Makes a place in a text that is a value in a file.</summary>
    internal SourcePosition(EmbeddedText text, int line, int column)
        : this((object)text, line, column)
    {
    }

    private SourcePosition(object source, int line, int column)
    {
        _source = source;
        _line = line;
        _column = column;
    }

    /// <summary>The path as the user gave it, or a name such as <c>kubernetes</c> for text that is no file.</summary>
    public string File => Text?.Start.File ?? (_source as string)!;

    /// <summary>Line in the file, from 1; 0 where the file is no text but an object.</summary>
    public int Line => Text is not { } text ? _line : text.Start.Line + (text.Indentation is null ? 0 : _line);

    /// <summary>Column in UTF-16 units, from 1; 0 as for the line.</summary>
    public int Column => Text is not { } text ? _column : text.Indentation is { } indentation ? indentation + _column : text.Start.Column;

    /// <summary>The name of the text in the file, and the line there: <c>ConfigMap shop/policies, policy.yaml:5</c>; null if the file itself is the text.</summary>
    internal string? Within => Text is { Name: { } name } ? $"{name}:{_line}" : null;

    private EmbeddedText? Text => _source as EmbeddedText;

    /// <summary>Orders by file, then line, then column.</summary>
    public int CompareTo(SourcePosition other)
    {
        var order = string.CompareOrdinal(File, other.File);
        order = order != 0 ? order : Line.CompareTo(other.Line);
        order = order != 0 ? order : Column.CompareTo(other.Column);
        // The lines of a value in quotes are one of the file.
        return order != 0 ? order : _line.CompareTo(other._line);
    }

    /// <summary>The same source, in another place of its text.</summary>
    internal SourcePosition At(int line, int column) => new(_source!, line, column);

    public static bool operator <(SourcePosition left, SourcePosition right) => left.CompareTo(right) < 0;

    public static bool operator <=(SourcePosition left, SourcePosition right) => left.CompareTo(right) <= 0;

    public static bool operator >(SourcePosition left, SourcePosition right) => left.CompareTo(right) > 0;

    public static bool operator >=(SourcePosition left, SourcePosition right) => left.CompareTo(right) >= 0;

    /// <summary><c>FILE:LINE:COL</c>, as compilers print it; an object's name alone.</summary>
    public override string ToString() => Line == 0 ? TerminalText.Escape(File) : $"{TerminalText.Escape(File)}:{Line}:{Column}";
}

/// <summary>A text that is a value in a file: its lines are the file's only if it is written as a block.</summary>
/// <param name="Start">Where the value starts in the file.</param>
/// <param name="Indentation">The columns before each line of a block, whose first line is the one after the start; null for a value in quotes.</param>
/// <param name="Name">Its name in messages, such as <c>ConfigMap shop/policies, policy.yaml</c>; null if it needs none.</param>
internal sealed record EmbeddedText(SourcePosition Start, int? Indentation, string? Name = null);
