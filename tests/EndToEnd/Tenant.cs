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

    /// <summary>The same as nobody in a network namespace of its own, with a FUSE file system of its own that all may use: its device is descriptor 9, and
    /// where it is mounted the first argument.</summary>
    public static Tenant WithFuse(string script, params string[] arguments)
    {
        const string mount = """
            set -e
            ip link set lo up
            mount -t tmpfs none /mnt
            exec 9<>/dev/fuse
            mkdir /mnt/fuse
            mount -i -t fuse none /mnt/fuse -o fd=9,rootmode=40000,user_id=65534,group_id=65534,allow_other
            exec "$@"
            """;
        var tenant = new Tenant(Nobody, ["unshare", "--net", "--mount", "--propagation", "private", "--", "sh", "-c", mount, "sh"], script, ["/mnt/fuse", .. arguments]);
        tenant.WaitUntilReady();
        return tenant;
    }

    public ProgramRun Run { get; }

    public string NetnsPath => $"/proc/{Run.Pid}/ns/net";

    public void WaitUntilReady() => Run.WaitForLine(line => line == "ready", TimeSpan.FromSeconds(180));

    public void Dispose() => Run.Dispose();
}
