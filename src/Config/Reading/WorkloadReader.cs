using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>Reads Istio's WorkloadEntry, and the same fields where a ServiceEntry has them inline.</summary>
internal static class WorkloadReader
{
    public static WorkloadEntry ReadEntry(ObjectMetadata metadata, ObjectReader spec) =>
        new() { Metadata = metadata, Workload = Read(spec) };

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
