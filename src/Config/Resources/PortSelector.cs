namespace Keepalive.Config.Resources;

/// <summary>Names a port by number or by name.</summary>
/// <param name="Number">The number, or null.</param>
/// <param name="Name">The name, or null. Exactly one of the two is set.</param>
/// <param name="Position">Where it is written.</param>
public sealed record PortSelector(long? Number, string? Name, SourcePosition Position)
{
    /// <summary>Whether it names a port with this number and name.</summary>
    public bool Matches(long number, string? name) => Number is { } wanted ? wanted == number : Name == name;

    /// <summary><c>port 443</c> or <c>port "https"</c>.</summary>
    public override string ToString() => Number is { } number ? $"port {number}" : $"port {Quoting.Quote(Name ?? "")}";
}
