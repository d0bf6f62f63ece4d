using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads Istio's WorkloadEntry, and the same fields where a ServiceEntry has them inline.</summary>
internal static class WorkloadReader
{
    /// <summary>Reads a WorkloadEntry. Like Istio's ConvertWorkloadEntry, it puts the labels of the object over those of its spec.</summary>
    public static WorkloadEntry ReadEntry(ObjectMetadata metadata, ObjectReader spec)
    {
        var workload = Read(spec);
        return new WorkloadEntry
        {
            Metadata = metadata,
            Workload = workload with
            {
                Labels = [.. metadata.Labels, .. workload.Labels.Where(label => !metadata.Labels.ContainsKey(label.Key))],
            },
            HasNetwork = spec.String("network") is { Value.Length: > 0 },
        };
    }

    public static MeshWorkload Read(ObjectReader reader)
    {
        var workload = new MeshWorkload
        {
            Address = reader.String("address"),
            Ports = reader.IntegerMap("ports", 1, 65535),
            Labels = SelectorReader.ReadLabels(reader, "labels"),
        };
        reader.Skip("network", "locality", "weight", "serviceAccount");
        reader.CloseOpen();
        return workload;
    }
}
