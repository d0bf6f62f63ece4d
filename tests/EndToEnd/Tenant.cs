using Keepalive.Testbed;

namespace Keepalive.EndToEnd;

/// <summary>A tenant's program: as nobody, in a user and a network namespace of its own, where it has every capability and nowhere else any.</summary>
internal sealed class Tenant : IDisposable
{
    private const string Nobody = "65534";

    /// <param name="script">In Python. The loopback interface is up; a line <c>ready</c> tells that it has begun.</param>
    /// <param name="arguments">Its arguments.</param>
    public Tenant(string script, params string[] arguments)
    {
        Run = new ProgramRun(
            [
                "setpriv", "--reuid", Nobody, "--regid", Nobody, "--clear-groups", "unshare", "--user", "--map-root-user", "--net", "--",
                "sh", "-c", "ip link set lo up && exec python3 -u -c \"$@\"", "sh", script, .. arguments,
            ]);
        Run.WaitForLine(line => line == "ready");
    }

    public ProgramRun Run { get; }

    public string NetnsPath => $"/proc/{Run.Pid}/ns/net";

    public void Dispose() => Run.Dispose();
}
