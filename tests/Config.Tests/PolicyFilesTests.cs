using System.Diagnostics;
using System.Text;
using Keepalive.Config.Reading;
using Xunit;

namespace Keepalive.Config.Tests;

public sealed class PolicyFilesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("keepalive-config-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Read_Directory_TakesItsOwnVisibleYamlFilesByName()
    {
        Write("b.yaml", Service("b"));
        Write("a.yml", Service("a"));
        Write("c.json", Service("c"));
        Write(".hidden.yaml", Service("hidden"));
        Write("below/d.yaml", Service("d"));
        var result = PolicyReader.Read([_folder]);
        Assert.Empty(result.Diagnostics);
        Assert.Equal(["default/a", "default/b"], result.Resources.All.Select(resource => resource.QualifiedName));
        Assert.Equal(2, result.Files);
    }

    [Fact]
    public void Read_DirectoryOfAHelmChart_IsOneErrorThatNamesHelm()
    {
        Write("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n");
        Write("values.yaml", "time: 60s\n");
        Write("templates/policy.yaml", "time: {{ .Values.time }}\n");
        var diagnostic = Assert.Single(PolicyReader.Read([_folder]).Diagnostics);
        Assert.Equal(("KA017", "Chart.yaml"), (diagnostic.Code, Path.GetFileName(diagnostic.Position.File)));
        Assert.Equal($"check its output: helm template {_folder} | keepalive-agent check -", diagnostic.Fix);
    }

    [Theory]
    [InlineData("kustomization.yaml", "resources: [../base]\n")]
    [InlineData("kustomization.yml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n")]
    public void Read_DirectoryWithAKustomization_SkipsItWithANoteThatNamesKustomize(string name, string text)
    {
        Write(name, text);
        Write("policy.yaml", Service("a"));
        var result = PolicyReader.Read([_folder]);
        var diagnostic = Assert.Single(result.Diagnostics);
        Assert.Equal(("KA021", Severity.Note, name), (diagnostic.Code, diagnostic.Severity, Path.GetFileName(diagnostic.Position.File)));
        Assert.Equal($"check its output: kubectl kustomize {_folder} | keepalive-agent check -", diagnostic.Fix);
        Assert.Single(result.Resources.All);
    }

    [Fact]
    public void Read_DirectoryOfAKustomizationAlone_IsOneErrorThatNamesKustomize()
    {
        Write("kustomization.yaml", "resources: [../base]\n");
        var diagnostic = Assert.Single(PolicyReader.Read([_folder]).Diagnostics);
        Assert.Equal(("KA004", Severity.Error), (diagnostic.Code, diagnostic.Severity));
        Assert.Contains($"kubectl kustomize {_folder} | keepalive-agent check -", diagnostic.Fix, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_ObjectOfTheApiServer_LeavesTheDataOfAConfigMapAlone()
    {
        const string json = """{"metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"policy.yaml": "kind: ConnectionPolicy"}}""";
        var bytes = new System.Buffers.ReadOnlySequence<byte>(Encoding.UTF8.GetBytes(json));
        var read = PolicyReader.ReadObject(bytes, "v1", "ConfigMap", "ConfigMap istio-system/istio", known: null).Read!;
        Assert.DoesNotContain(read.Diagnostics, diagnostic => diagnostic.Severity == Severity.Error);
        Assert.Empty(read.Resources.All);
    }

    [Fact]
    public void Read_MountedConfigMap_TakesEachFileOnce()
    {
        Write("..2024_05_01/policy.yaml", Service("a"));
        Directory.CreateSymbolicLink(Path.Combine(_folder, "..data"), "..2024_05_01");
        File.CreateSymbolicLink(Path.Combine(_folder, "policy.yaml"), "..data/policy.yaml");
        var result = PolicyReader.Read([_folder, Path.Combine(_folder, "policy.yaml")]);
        Assert.Empty(result.Diagnostics);
        Assert.Single(result.Resources.All);
        Assert.Equal(1, result.Files);
    }

    [Fact]
    public void Read_OneBadFileAmongGood_ReadsTheOthers()
    {
        Write("a.yaml", "a: [");
        Write("b.yaml", Service("b"));
        var result = PolicyReader.Read([_folder, Path.Combine(_folder, "missing.yaml")]);
        Assert.Equal(["a.yaml KA010", "missing.yaml KA001"],
            result.Diagnostics.Select(diagnostic => $"{Path.GetFileName(diagnostic.Position.File)} {diagnostic.Code}"));
        Assert.Single(result.Resources.All);
    }

    public static TheoryData<string, string> Unreadable => new()
    {
        { "missing", "KA001: there is no such file or directory" },
        { "empty", "KA004: the file is empty" },
        { "empty directory", "KA004: the directory holds no" },
        { "100 MB", "KA002: the file has 104857600 bytes" },
        { "pipe", "KA004: the file is empty, or is a pipe" },
        { "link to pipe", "KA004: the file is empty, or is a pipe" },
        { "link to nothing", "KA001: the link leads to" },
        { "endless device", "KA004: the file is empty, or is a pipe or a device" },
        { "program", "KA003: the file is not" },
        { "random bytes", "KA003: the file is not" },
        { "Latin-1", "3:4: error KA003: the file is not UTF-8 text: byte 0xE9" },
        { "UTF-16", "KA003: the file is UTF-16" },
        { "cut-off UTF-8", "1:4: error KA003: the file is not UTF-8 text: byte 0xE2" },
        { "no path", "KA001: not a path" },
        { "long path", "KA001: " },
    };

    [Theory]
    [MemberData(nameof(Unreadable))]
    public void Read_NotAPolicyFile_IsOneError(string what, string expected)
    {
        var begun = ThreadClock.Now;
        var result = PolicyReader.Read([Make(what)]);
        var diagnostic = Assert.Single(result.Diagnostics);
        Assert.Equal(Severity.Error, diagnostic.Severity);
        Assert.Contains(expected, diagnostic.ToString(), StringComparison.Ordinal);
        Assert.Empty(result.Resources.All);
        Assert.InRange(ThreadClock.Now - begun, TimeSpan.Zero, TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void Read_FilesTooLargeTogether_StopsReading()
    {
        for (var i = 0; i < 6; i++)
        {
            Write($"{i}.yaml", "# " + new string('x', 15 * 1024 * 1024));
        }

        var result = PolicyReader.Read([_folder]);
        Assert.Equal(4, result.Files);
        Assert.Contains(result.Diagnostics, diagnostic => diagnostic.Code == "KA002");
    }

    private string Make(string what)
    {
        var path = Path.Combine(_folder, "x.yaml");
        switch (what)
        {
            case "missing":
                break;
            case "empty":
                return Write("x.yaml", "");
            case "empty directory":
                return _folder;
            case "100 MB":
                using (var file = File.Create(path))
                {
                    file.SetLength(100 * 1024 * 1024);
                }

                break;
            case "pipe":
                MakePipe(path);
                break;
            case "link to pipe":
                MakePipe(Path.Combine(_folder, "pipe"));
                File.CreateSymbolicLink(path, Path.Combine(_folder, "pipe"));
                break;
            case "link to nothing":
                File.CreateSymbolicLink(path, "nowhere");
                break;
            case "endless device":
                return "/dev/zero";
            case "program":
                return Environment.ProcessPath!;
            case "random bytes":
                var bytes = new byte[5000];
                new Random(1).NextBytes(bytes);
                File.WriteAllBytes(path, bytes);
                break;
            case "Latin-1":
                File.WriteAllText(path, "a: 1\nb: 2\nc: \u00e9t\u00e9\n", Encoding.Latin1);
                break;
            case "UTF-16":
                File.WriteAllText(path, Service("a"), Encoding.Unicode);
                break;
            case "cut-off UTF-8":
                File.WriteAllBytes(path, [(byte)'a', (byte)':', (byte)' ', 0xe2, 0x82]);
                break;
            case "no path":
                return "";
            case "long path":
                return "/" + new string('x', 5000);
            default:
                throw new ArgumentOutOfRangeException(nameof(what));
        }

        return path;
    }

    private static void MakePipe(string path)
    {
        using var process = Process.Start("mkfifo", [path]);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }

    private string Write(string name, string text)
    {
        var path = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
        return path;
    }

    private static string Service(string name) =>
        $"apiVersion: networking.gloo.solo.io/v2\nkind: ExternalService\nmetadata: {{name: {name}}}\nspec: {{addresses: [10.0.0.1]}}\n";
}
