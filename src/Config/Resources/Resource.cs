namespace Keepalive.Config.Resources;

/// <summary>A Kubernetes object of a kind this product knows, as its writer wrote it.</summary>
public abstract record Resource
{
    /// <summary>Name, namespace, labels and annotations.</summary>
    public required ObjectMetadata Metadata { get; init; }

    /// <summary>The object's <c>kind</c>.</summary>
    public abstract string Kind { get; }

    /// <summary>False when an error was reported against it: it is then left out of everything but the report.</summary>
    public bool IsValid { get; init; } = true;

    /// <summary><c>namespace/name</c>.</summary>
    public string QualifiedName => $"{Metadata.Namespace}/{Metadata.Name.Value}";

    /// <summary>Where the object is named: the value of <c>metadata.name</c>.</summary>
    public SourcePosition Position => Metadata.Name.Position;
}
