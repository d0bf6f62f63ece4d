using System.Globalization;
using System.Text.RegularExpressions;
using Keepalive.Agent.Tests.Deploy;
using Keepalive.Testbed;

namespace Keepalive.EndToEnd;

/// <summary>The files of one of the two images, assembled without a builder, and programs that run in it as in the DaemonSet.</summary>
/// <remarks>
/// The Dockerfile's own script copies the runtime files. The path of the program, the environment and the entrypoint are read from the
/// Dockerfile. There is no shell in it, only the directories for state and data are writable, and all mounts are in a mount namespace of their own, which
/// ends with the program.
/// </remarks>
internal sealed partial class ImageRoot : IDisposable
{
    /// <summary>Mounts what the pod mounts, drops the pod's dropped capabilities, and execs the program. Arguments: root, state, data,
    /// policies, dropped capabilities, program….</summary>
    private const string Enter = """
        set -eu
        root=$1 state=$2 data=$3 policies=$4 dropped=$5
        shift 5
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount -t sysfs -o ro sysfs "$root/sys"
        mount --rbind -o ro /sys/fs/cgroup "$root/sys/fs/cgroup"
        mount -t tmpfs -o mode=755 tmpfs "$root/dev"
        for device in null zero urandom; do
            touch "$root/dev/$device"
            mount --bind "/dev/$device" "$root/dev/$device"
        done
        mount --bind "$state" "$root/run/keepalive-agent"
        mount --bind "$data" "$root/var/lib/keepalive-agent"
        mount --bind "$policies" "$root/etc/keepalive-agent/policies"
        mount -o remount,bind,ro "$root/etc/keepalive-agent/policies"
        mount -o remount,bind,ro "$root"
        exec capsh --chroot="$root" --drop="$dropped" --inh= --shell="$1" -- "${@:2}"
        """;

    /// <summary>Every capability of the kernel, with capsh's names.</summary>
    private static readonly Lazy<string[]> s_allCapabilities = new(() =>
    {
        var last = int.Parse(File.ReadAllText("/proc/sys/kernel/cap_last_cap"), CultureInfo.InvariantCulture);
        var decoded = Command.Run("capsh", string.Create(CultureInfo.InvariantCulture, $"--decode={(1ul << (last + 1)) - 1:x}")).Output;
        return decoded[(decoded.IndexOf('=', StringComparison.Ordinal) + 1)..].Trim().Split(',');
    });

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-image");
    private readonly string _dockerfile = File.ReadAllText(Path.Combine(Repository.Root, "Dockerfile"));
    private readonly string _stage;

    /// <summary>Assembles the image of a program.</summary>
    public ImageRoot(string program)
    {
        var name = Path.GetFileName(program);
        _stage = _dockerfile.Split("\nFROM ").Single(stage => stage.StartsWith($"scratch AS {name}\n", StringComparison.Ordinal));
        try
        {
            foreach (var path in new[] { "proc", "sys", "dev", "etc/keepalive-agent/policies", "run/keepalive-agent", "var/lib/keepalive-agent" })
            {
                Directory.CreateDirectory(Path.Combine(Root, path));
            }
            File.Copy(program, Path.Combine(Directory.CreateDirectory(Root + Programs).FullName, name));
            Command.Run([Path.Combine(Repository.Root, "scripts", "native-libraries"), Root, program]);
            foreach (var (sources, target) in Copied())
            {
                var directory = Directory.CreateDirectory(Root + target).FullName;
                Command.Run(["cp", "-r", .. sources.Select(source => Path.Combine(Repository.Root, source)), directory]);
            }
            ForgetState();
            WritePolicies("");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>All files and links of the image, as paths from its root, without the kubelet's mounts below /var/run.</summary>
    public IReadOnlyList<string> Files => [.. Directory.EnumerateFiles(Root, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.None })
        .Select(path => path[Root.Length..]).Where(path => !path.StartsWith("/var/run/", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];

    /// <summary>The entrypoint of the image.</summary>
    public string EntryPoint => EntryPointLine().Match(_stage).Groups[1].Value;

    /// <summary>The directory of the program.</summary>
    public string Programs => ProgramsLine().Match(_dockerfile).Groups[1].Value;

    public string StateDirectory => Path.Combine(_directory.FullName, "state");

    public string Root => Path.Combine(_directory.FullName, "root");

    /// <summary>The capabilities the DaemonSet adds.</summary>
    public static IReadOnlyList<string> Capabilities => Manifests.Container().At("securityContext", "capabilities", "add").Texts();

    /// <summary>Whether a path from the root is in the image.</summary>
    public bool Has(string path) => Path.Exists(Path.Join(Root, path));

    /// <summary>Empties the state directory, as a reboot does.</summary>
    public void ForgetState()
    {
        if (Directory.Exists(StateDirectory))
        {
            Directory.Delete(StateDirectory, recursive: true);
        }
        Directory.CreateDirectory(StateDirectory);
    }

    /// <summary>Lays out the policies as the kubelet lays out a ConfigMap: files are links through a directory that is itself a
    /// link.</summary>
    public void WritePolicies(string text)
    {
        var volume = Directory.CreateDirectory(Path.Combine(_directory.FullName, "policies")).FullName;
        var version = $"..{Guid.NewGuid():N}";
        Directory.CreateDirectory(Path.Combine(volume, version));
        File.WriteAllText(Path.Combine(volume, version, "policy.yaml"), text);
        File.CreateSymbolicLink(Path.Combine(volume, "..data_tmp"), version);
        Command.Run("mv", "-T", Path.Combine(volume, "..data_tmp"), Path.Combine(volume, "..data"));
        if (!File.Exists(Path.Combine(volume, "policy.yaml")))
        {
            File.CreateSymbolicLink(Path.Combine(volume, "policy.yaml"), "..data/policy.yaml");
        }
    }

    /// <summary>Mounts a service account at its path in a pod.</summary>
    public void WriteServiceAccount(string token, string authority)
    {
        var directory = Directory.CreateDirectory(Path.Join(Root, "var/run/secrets/kubernetes.io/serviceaccount")).FullName;
        File.WriteAllText(Path.Combine(directory, "token"), token);
        File.WriteAllText(Path.Combine(directory, "ca.crt"), authority);
    }

    /// <summary>A command line that runs the image's program as in the DaemonSet, without <paramref name="without"/>.</summary>
    /// <param name="arguments">The program's arguments.</param>
    /// <param name="without">A capability to drop.</param>
    /// <param name="variables">Variables added to the image's own, NAME=VALUE.</param>
    public IEnumerable<string> CommandLine(
        IEnumerable<string> arguments, string? without = null, IEnumerable<string>? variables = null)
    {
        var kept = Capabilities.Where(name => name != without).Select(name => "cap_" + name.ToLowerInvariant()).ToHashSet();
        var dropped = string.Join(',', s_allCapabilities.Value.Where(name => !kept.Contains(name)));
        return
        [
            "unshare", "--mount", "--propagation", "private", "--cgroup", "--", "env", "--ignore-environment", $"PATH={Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin",
            .. Variables(), .. variables ?? [], "bash", "-c", Enter, "image", Root, StateDirectory, _directory.CreateSubdirectory("data").FullName, Path.Combine(_directory.FullName, "policies"),
            dropped, EntryPoint, .. arguments,
        ];
    }

    public void Dispose() => _directory.Delete(recursive: true);

    /// <summary>The files that the Dockerfile copies from the repository: a directory's content, or files; and the directory they are copied to.</summary>
    private IEnumerable<(IEnumerable<string> Sources, string Target)> Copied()
    {
        var ignored = File.ReadAllLines(Path.Combine(Repository.Root, ".dockerignore"));
        foreach (Match line in CopyLine().Matches(_stage))
        {
            var sources = line.Groups[1].Value.Split(' ');
            var missing = sources.FirstOrDefault(source => !ignored.Any(pattern => pattern.StartsWith('!') && (source + "/").StartsWith(pattern[1..] + "/", StringComparison.Ordinal)));
            if (missing is not null)
            {
                throw new InvalidOperationException($".dockerignore leaves out {missing}, which the Dockerfile copies");
            }
            yield return (sources.Select(source => Directory.Exists(Path.Combine(Repository.Root, source)) ? source + "/." : source), line.Groups[2].Value);
        }
    }

    /// <summary>The image's environment. The PATH is the one of the tools that set up the container.</summary>
    private IEnumerable<string> Variables() =>
        Variable().Matches(EnvironmentLines().Match(_stage).Groups[1].Value).Select(match => match.Value)
            .Where(pair => !pair.StartsWith("PATH=", StringComparison.Ordinal));

    [GeneratedRegex("^ENTRYPOINT \\[\"([^\"]+)\"\\]$", RegexOptions.Multiline)]
    private static partial Regex EntryPointLine();

    [GeneratedRegex(@"install -D -m 755 /programs/\$program /image/\$program(/\S+)/\$program ")]
    private static partial Regex ProgramsLine();

    [GeneratedRegex("^COPY (?!--)(\\S.*) (\\S+)/$", RegexOptions.Multiline)]
    private static partial Regex CopyLine();

    [GeneratedRegex("^ENV ((?:.*\\\\\n)*.*)$", RegexOptions.Multiline)]
    private static partial Regex EnvironmentLines();

    [GeneratedRegex("[A-Za-z_]+=[^\\s\\\\]*")]
    private static partial Regex Variable();
}
