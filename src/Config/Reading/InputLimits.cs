namespace Keepalive.Config.Reading;

/// <summary>How much is read before the reader refuses. A ConfigMap holds at most 1 MiB, so that honest input stays far below.</summary>
internal static class InputLimits
{
    /// <summary>Bytes in one file.</summary>
    public const int FileBytes = 16 * 1024 * 1024;

    /// <summary>Bytes in all files of one read.</summary>
    public const long TotalBytes = 64 * 1024 * 1024;

    /// <summary>Files in one read.</summary>
    public const int Files = 10_000;

    /// <summary>Documents in one read.</summary>
    public const int Documents = 50_000;

    /// <summary>Mappings, sequences and scalars in one read, aliases followed: a cluster with 10,000 services has a million.</summary>
    public const int Nodes = 4_000_000;

    /// <summary>Those of one document, which are in memory at the same time.</summary>
    public const int DocumentNodes = 1_000_000;

    /// <summary>Nodes one document may come to by following its aliases.</summary>
    public const int ExpandedNodes = 100_000;

    /// <summary>Collections inside collections.</summary>
    public const int Depth = 64;
}
