using Keepalive.Linux.Files;
using Keepalive.Testbed;

namespace Keepalive.Agent.Tests.Policies;

/// <summary>A data directory that was in use until now. A child process that another test starts at that moment has the lock, too, until it becomes
/// another program.</summary>
internal static class OpenedData
{
    public static DataDirectory Open(string path) =>
        Eventually.Value(() => DataDirectory.Open(path), static data => data.Problem?.Contains("is in use", StringComparison.Ordinal) != true, TimeSpan.FromSeconds(10)).Value;
}
