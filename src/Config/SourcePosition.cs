namespace Keepalive.Config;

/// <summary>A place in an input file.</summary>
/// <param name="File">The path as the user gave it, or a name such as <c>kubernetes</c> for text that is no file.</param>
/// <param name="Line">Line, from 1; 0 where the file is no text but an object such as <c>ConnectionPolicy bookinfo/tcp-keepalive</c>.</param>
/// <param name="Column">Column in UTF-16 units, from 1; 0 as for the line.</param>
public readonly record struct SourcePosition(string File, int Line, int Column) : IComparable<SourcePosition>
{
    /// <summary>Orders by file, then line, then column.</summary>
    public int CompareTo(SourcePosition other)
    {
        var order = string.CompareOrdinal(File, other.File);
        order = order != 0 ? order : Line.CompareTo(other.Line);
        return order != 0 ? order : Column.CompareTo(other.Column);
    }

    public static bool operator <(SourcePosition left, SourcePosition right) => left.CompareTo(right) < 0;

    public static bool operator <=(SourcePosition left, SourcePosition right) => left.CompareTo(right) <= 0;

    public static bool operator >(SourcePosition left, SourcePosition right) => left.CompareTo(right) > 0;

    public static bool operator >=(SourcePosition left, SourcePosition right) => left.CompareTo(right) >= 0;

    /// <summary><c>FILE:LINE:COL</c>, as compilers print it; an object's name alone.</summary>
    public override string ToString() => Line == 0 ? TerminalText.Escape(File) : $"{TerminalText.Escape(File)}:{Line}:{Column}";
}
