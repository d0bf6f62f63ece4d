using System.Globalization;
using Keepalive.Testbed;

namespace Keepalive.EndToEnd;

/// <summary>A tenant's program: it runs as nobody in its own user and network namespaces, with every capability there and none
/// elsewhere.</summary>
internal sealed class Tenant : IDisposable
{
    /// <summary>An address that no other process on the machine uses.</summary>
    public const string Address = "203.0.113.9";

    private const int Nobody = 65534;

    private Tenant(int user, string[] where, string script, string[] arguments, params string[] privileges)
    {
        var id = user.ToString(CultureInfo.InvariantCulture);
        string[] own = where.Length > 0
            ? []
            : ["unshare", "--user", "--map-root-user", "--net", "--", "sh", "-c", $"ip link set lo up && ip addr add {Address}/32 dev lo && exec \"$@\"", "sh"];
        Run = new ProgramRun([.. where, "setpriv", "--reuid", id, "--regid", id, "--clear-groups", .. privileges, .. own, "/usr/bin/python3", "-u", "-c", script, .. arguments]);
    }

    /// <param name="script">In Python. The loopback interface is up; the line <c>ready</c> means that the script has started.</param>
    /// <param name="arguments">Its arguments.</param>
    public Tenant(string script, params string[] arguments)
        : this(Nobody, [], script, arguments) => WaitUntilReady();

    /// <summary>The same as another user, without waiting for the line.</summary>
    public static Tenant Begin(int user, string script, params string[] arguments) => new(user, [], script, arguments);

    /// <summary>The same as nobody in another user's namespace, where it has no capability either.</summary>
    public static Tenant Beside(string netns, string script, params string[] arguments) => Beside(netns, Nobody, script, arguments);

    /// <summary>Does the same as another user.</summary>
    public static Tenant Beside(string netns, int user, string script, params string[] arguments)
    {
        var tenant = new Tenant(user, ["nsenter", $"--net={netns}"], script, arguments);
        tenant.WaitUntilReady();
        return tenant;
    }

    /// <summary>Does the same as nobody with CAP_NET_RAW, which containers usually have.</summary>
    public static Tenant BesideWithRawSockets(string netns, string script, params string[] arguments)
    {
        var tenant = new Tenant(Nobody, ["nsenter", $"--net={netns}"], script, arguments, "--inh-caps", "+net_raw", "--ambient-caps", "+net_raw");
        tenant.WaitUntilReady();
        return tenant;
    }

    /// <summary>The same as nobody in its own network namespace, with its own FUSE file system that all users may use: descriptor 9 is its
    /// device, and the first argument its mount point.</summary>
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
