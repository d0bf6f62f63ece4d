using System.Globalization;
using System.Text.RegularExpressions;
using Keepalive.Agent.Tests.Deploy;
using Keepalive.Testbed;

namespace Keepalive.EndToEnd;

/// <summary>The files of the container image, put together without Docker, and programs run in it as the DaemonSet would have them.</summary>
/// <remarks>
/// What the Dockerfile says is read from it: the native packages, where things go, the environment, the program. Stands in for the chiselled
/// .NET image: the C and C++ libraries and OpenSSL of this machine, its shared runtimes, /etc/passwd. There is no shell in it, nothing can be
/// written but the state directory, and all mounts are in a mount namespace of their own, which ends with what runs in it.
/// </remarks>
internal sealed partial class ImageRoot : IDisposable
{
    /// <summary>Packages of the base image whose libraries a .NET runtime is linked with, by Debian's name.</summary>
    private static readonly string[] BasePackages = ["libc6", "libgcc-s1", "libstdc++6", "libssl3"];

    /// <summary>Mounts what the pod mounts, drops what it drops, and becomes the program. Arguments: root, state, policies, dropped
    /// capabilities, .NET, program….</summary>
    private const string Enter = """
        set -eu
        root=$1 state=$2 policies=$3 dropped=$4 dotnet=$5
        shift 5
        mount --bind "$root" "$root"
        for part in host shared/Microsoft.NETCore.App shared/Microsoft.AspNetCore.App; do
            mount --bind -o ro "$dotnet/$part" "$root/usr/share/dotnet/$part"
        done
        mount -t proc proc "$root/proc"
        mount -t sysfs -o ro sysfs "$root/sys"
        mount --rbind -o ro /sys/fs/cgroup "$root/sys/fs/cgroup"
        mount -t tmpfs -o mode=755 tmpfs "$root/dev"
        for device in null zero urandom; do
            touch "$root/dev/$device"
            mount --bind "/dev/$device" "$root/dev/$device"
        done
        mount --bind "$state" "$root/run/keepalive-agent"
        mount --bind "$policies" "$root/etc/keepalive-agent/policies"
        mount -o remount,bind,ro "$root/etc/keepalive-agent/policies"
        mount -o remount,bind,ro "$root"
        exec capsh --chroot="$root" --drop="$dropped" --inh= --shell="$1" -- "${@:2}"
        """;

    /// <summary>Every capability that the kernel knows, as capsh names them.</summary>
    private static readonly Lazy<string[]> AllCapabilities = new(() =>
    {
        var last = int.Parse(File.ReadAllText("/proc/sys/kernel/cap_last_cap"), CultureInfo.InvariantCulture);
        var decoded = Command.Run("capsh", string.Create(CultureInfo.InvariantCulture, $"--decode={(1ul << (last + 1)) - 1:x}")).Output;
        return decoded[(decoded.IndexOf('=', StringComparison.Ordinal) + 1)..].Trim().Split(',');
    });

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-image");
    private readonly string _dockerfile = File.ReadAllText(Path.Combine(Repository.Root, "Dockerfile"));

    public ImageRoot()
    {
        try
        {
            foreach (var path in new[]
            {
                "usr/lib", "usr/lib64", "proc", "sys", "dev", "etc/keepalive-agent/policies", "run/keepalive-agent", "usr/share/dotnet/host",
                "usr/share/dotnet/shared/Microsoft.NETCore.App", "usr/share/dotnet/shared/Microsoft.AspNetCore.App",
            })
            {
                Directory.CreateDirectory(Path.Combine(Root, path));
            }
            File.CreateSymbolicLink(Path.Combine(Root, "lib"), "usr/lib");
            File.CreateSymbolicLink(Path.Combine(Root, "lib64"), "usr/lib64");
            File.WriteAllText(Path.Combine(Root, "etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n");
            Copy([.. BasePackages.SelectMany(LibrariesOf)]);
            Command.Run([Path.Combine(Repository.Root, "scripts", "native-libraries"), Root, .. NativePackages]);
            foreach (var program in new[] { ProgramRun.AgentPath, ProgramRun.SimulatorPath })
            {
                Command.Run("sh", "-c", $"mkdir -p '{Root}{Programs}' && cp -r '{Path.GetDirectoryName(program)}/.' '{Root}{Programs}'");
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

    /// <summary>The native packages of the Dockerfile, by the names that Debian has them under: before the 64-bit time_t of 32-bit machines.</summary>
    public IReadOnlyList<string> NativePackages =>
        [.. Argument().Match(_dockerfile).Groups[1].Value.Split(' ').Select(name => name.EndsWith("t64", StringComparison.Ordinal) ? name[..^3] : name)];

    /// <summary>The program a container of the image starts.</summary>
    public string EntryPoint => EntryPointLine().Match(_dockerfile).Groups[1].Value;

    /// <summary>The directory both programs are in.</summary>
    public string Programs => ProgramsLine().Match(_dockerfile).Groups[1].Value;

    public string StateDirectory => Path.Combine(_directory.FullName, "state");

    public string Root => Path.Combine(_directory.FullName, "root");

    /// <summary>The capabilities the DaemonSet adds.</summary>
    public static IReadOnlyList<string> Capabilities => Manifests.Container().At("securityContext", "capabilities", "add").Texts();

    /// <summary>Whether something is in the image; a path from its root.</summary>
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

    /// <summary>Lays the policies as the kubelet lays a ConfigMap: files are links through a directory that is a link itself.</summary>
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

    /// <summary>A command line that runs the image's program as the DaemonSet would, but for <paramref name="without"/>.</summary>
    /// <param name="arguments">What the program is given.</param>
    /// <param name="without">A capability to leave out.</param>
    /// <param name="program">Another program of the image; a path in it.</param>
    public IEnumerable<string> CommandLine(IEnumerable<string> arguments, string? without = null, string? program = null)
    {
        var kept = Capabilities.Where(name => name != without).Select(name => "cap_" + name.ToLowerInvariant()).ToHashSet();
        var dropped = string.Join(',', AllCapabilities.Value.Where(name => !kept.Contains(name)));
        var dotnet = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "..", "..", ".."));
        return
        [
            "unshare", "--mount", "--propagation", "private", "--cgroup", "--", "env", "--ignore-environment", $"PATH={Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin",
            .. Variables(), "bash", "-c", Enter, "image", Root, StateDirectory, Path.Combine(_directory.FullName, "policies"),
            dropped, dotnet, program ?? EntryPoint, .. arguments,
        ];
    }

    public void Dispose() => _directory.Delete(recursive: true);

    /// <summary>The image's environment, and what the base image sets.</summary>
    private IEnumerable<string> Variables() =>
        Variable().Matches(EnvironmentLines().Match(_dockerfile).Groups[1].Value).Select(match => match.Value)
            .Where(pair => !pair.StartsWith("PATH=", StringComparison.Ordinal)).Append("DOTNET_RUNNING_IN_CONTAINER=true");

    private static IEnumerable<string> LibrariesOf(string package) => Command.Run("dpkg", "-L", package).Lines
        .Where(path => Library().IsMatch(path) && File.Exists(path));

    private void Copy(IReadOnlyList<string> files)
    {
        foreach (var file in files)
        {
            var target = Path.Join(Root, file);
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target, overwrite: true);
        }
    }

    [GeneratedRegex("^ARG NATIVE_PACKAGES=\"([^\"]+)\"$", RegexOptions.Multiline)]
    private static partial Regex Argument();

    [GeneratedRegex("^ENTRYPOINT \\[\"([^\"]+)\"\\]$", RegexOptions.Multiline)]
    private static partial Regex EntryPointLine();

    [GeneratedRegex("^COPY --from=build /source/out (\\S+)$", RegexOptions.Multiline)]
    private static partial Regex ProgramsLine();

    [GeneratedRegex("^ENV ((?:.*\\\\\n)*.*)$", RegexOptions.Multiline)]
    private static partial Regex EnvironmentLines();

    [GeneratedRegex("[A-Za-z_]+=[^\\s\\\\]*")]
    private static partial Regex Variable();

    [GeneratedRegex(@"/lib\S*/[^/]+\.so(\.[0-9.]+)?$")]
    private static partial Regex Library();
}
