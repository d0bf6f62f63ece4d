using System.Globalization;
using Keepalive.Testbed;

namespace Keepalive.EndToEnd;

/// <summary>A tenant's program: as nobody, in a user and a network namespace of its own, where it has every capability and nowhere else any.</summary>
internal sealed class Tenant : IDisposable
{
    /// <summary>An address of its own that nobody else on the machine has.</summary>
    public const string Address = "203.0.113.9";

    private const int Nobody = 65534;

    private Tenant(int user, string[] where, string script, string[] arguments)
    {
        var id = user.ToString(CultureInfo.InvariantCulture);
        string[] own = where.Length > 0
            ? []
            : ["unshare", "--user", "--map-root-user", "--net", "--", "sh", "-c", $"ip link set lo up && ip addr add {Address}/32 dev lo && exec \"$@\"", "sh"];
        Run = new ProgramRun([.. where, "setpriv", "--reuid", id, "--regid", id, "--clear-groups", .. own, "/usr/bin/python3", "-u", "-c", script, .. arguments]);
    }

    /// <param name="script">In Python. The loopback interface is up; a line <c>ready</c> tells that it has begun.</param>
    /// <param name="arguments">Its arguments.</param>
    public Tenant(string script, params string[] arguments)
        : this(Nobody, [], script, arguments) => WaitUntilReady();

    /// <summary>The same as another user, and without waiting for it.</summary>
    public static Tenant Begin(int user, string script, params string[] arguments) => new(user, [], script, arguments);

    /// <summary>The same as nobody in a namespace of others, where it has no capability either.</summary>
    public static Tenant Beside(string netns, string script, params string[] arguments)
    {
        var tenant = new Tenant(Nobody, ["nsenter", $"--net={netns}"], script, arguments);
        tenant.WaitUntilReady();
        return tenant;
    }

    public ProgramRun Run { get; }

    public string NetnsPath => $"/proc/{Run.Pid}/ns/net";

    public void WaitUntilReady() => Run.WaitForLine(line => line == "ready", TimeSpan.FromSeconds(180));

    public void Dispose() => Run.Dispose();
}
