using System.Text.RegularExpressions;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>The results of `make build`, and the messages of its scripts on a machine with missing tools.</summary>
public sealed partial class BuildTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("keepalive-build");

    public static TheoryData<string> Programs => [ProgramRun.AgentPath, ProgramRun.SimulatorPath];

    /// <summary>glibc 2.34: Debian 12, Ubuntu 22.04, RHEL 9. The README and docs/service.md state it.</summary>
    [Theory]
    [MemberData(nameof(Programs))]
    public void Program_SymbolVersions_AreOfGlibc234AtMost(string program)
    {
        Live.Require("readelf");
        var versions = SymbolVersion().Matches(Command.Run("readelf", "-W", "-V", program).Output)
            .Select(match => Version.Parse(match.Groups[1].Value)).Distinct().Order().ToList();

        Assert.Contains(new Version(2, 34), versions);
        Assert.True(versions[^1] <= new Version(2, 34), string.Join(' ', versions));
    }

    [Theory]
    [MemberData(nameof(Programs))]
    public void Program_OneExecutable_LoadsOnlyTheCLibraryAndRunsAnywhere(string program)
    {
        Live.Require("readelf");
        var needed = NeededLibrary().Matches(Command.Run("readelf", "-W", "-d", program).Output).Select(match => match.Groups[1].Value);

        Assert.All(needed, library => Assert.Matches(@"^(libc\.so\.6|libm\.so\.6|ld-linux.*)$", library));
        Assert.Contains("DYN (Position-Independent Executable file)", Command.Run("readelf", "-W", "-h", program).Output, StringComparison.Ordinal);
        Assert.True(File.Exists(program + ".dbg"), "the symbols are in a file beside the program");
    }

    [Theory]
    [MemberData(nameof(Programs))]
    public void Version_NamesCommitToolsAndLibraries(string program)
    {
        var lines = Command.Run(program, "--version").Lines.ToList();

        Assert.Matches($@"^{Path.GetFileName(program)} \d+\.\d+\.\d+\S*$", lines[0]);
        Assert.StartsWith("one executable, compiled ahead of time (", lines[1], StringComparison.Ordinal);
        Assert.Contains("libpcap.a ", lines[2], StringComparison.Ordinal);
        Assert.Contains("libbpf.a ", lines[2], StringComparison.Ordinal);
        Assert.Equal(3, lines.Count);
    }

    /// <summary>Commands whose output depends only on their input.</summary>
    [Theory]
    [InlineData("keepalive-agent", "--help")]
    [InlineData("keepalive-agent", "run", "--help")]
    [InlineData("keepalive-agent", "nosuch")]
    [InlineData("keepalive-agent", "check", "POLICY")]
    [InlineData("keepalive-agent", "check", "POLICY", "--balancer", "aws-nlb", "-o", "json")]
    [InlineData("keepalive-agent", "render", "POLICY")]
    [InlineData("keepalive-agent", "explain", "POLICY", "--to", "203.0.113.1:443")]
    [InlineData("keepalive-agent", "explain", "POLICY", "--to", "203.0.113.1:443", "-o", "json")]
    [InlineData("keepalive-sim", "balancers")]
    [InlineData("keepalive-sim", "balancers", "-o", "json")]
    [InlineData("keepalive-sim", "advise", "--balancer", "aws-nlb")]
    [InlineData("keepalive-sim", "run", "guide-policy")]
    [InlineData("keepalive-sim", "run", "guide-policy", "-o", "json")]
    public void Output_ShippedAndFrameworkDependent_IsTheSame(string program, params string[] arguments)
    {
        var policy = Path.Combine(_directory.FullName, "policy.yaml");
        File.WriteAllText(policy, PolicyText.For("203.0.113.1", PolicyText.GuideValues));
        string[] given = [.. arguments.Select(argument => argument == "POLICY" ? policy : argument)];
        var (ships, framework) = program == "keepalive-agent"
            ? (ProgramRun.AgentPath, ProgramRun.FrameworkDependentAgentPath)
            : (ProgramRun.SimulatorPath, ProgramRun.FrameworkDependentSimulatorPath);

        var expected = ProgramRun.ToEnd([framework, .. given]);
        var actual = ProgramRun.ToEnd([ships, .. given]);

        Assert.Equal(expected, actual);
        Assert.NotEqual("", actual.Output + actual.Error);
    }

    /// <summary>This also proves that the tested programs are built from the current sources.</summary>
    [Fact]
    public void Build_NothingChanged_HasNothingToBuild()
    {
        var again = Command.Try([Script("build"), "check"]);

        Assert.Equal((0, ""), (again.ExitCode, again.Output));
    }

    [Fact]
    public void Toolchain_MachineWithoutCompilers_NamesThePackages()
    {
        var lines = Command.Run("env", $"PATH={ToolsBut("gcc", "clang", "cc", "objcopy")}", Script("toolchain")).Lines.ToList();

        foreach (var missing in new[] { "cc gcc", "objcopy binutils", "libpcap.a libpcap0.8-dev", "libbpf.a libbpf-dev", "libelf.a libelf-dev", "libz.a zlib1g-dev", "clang clang" })
        {
            Assert.Contains($"lacks {missing}", lines);
        }
        Assert.StartsWith("has dotnet ", lines[0], StringComparison.Ordinal);
    }

    [Fact]
    public void BpfObject_MachineWithoutClang_IsTheCommittedOneAndRebuiltByClang()
    {
        var made = Path.Combine(_directory.FullName, "keepalive.bpf.o");
        Command.Run("env", $"PATH={ToolsBut("clang")}", Script("bpf"), made);
        Assert.Equal(File.ReadAllBytes(Path.Combine(Repository.Root, "src/Agent/Bpf/keepalive.bpf.o")), File.ReadAllBytes(made));
        Assert.StartsWith("committed ", File.ReadAllText(made + ".by"), StringComparison.Ordinal);

        Command.Run(Script("bpf"), made);
        Assert.StartsWith("clang ", File.ReadAllText(made + ".by"), StringComparison.Ordinal);
    }

    /// <summary>Regression: any existing program counted as up to date, and a framework-dependent program replaced one compiled ahead of
    /// time.</summary>
    [Fact]
    public void Build_ProgramsOfAnotherState_AreRebuiltOrKept()
    {
        var root = new SourceTree(_directory.CreateSubdirectory("a tree"));
        root.File("src/Agent/A.cs", "one");
        root.Has("dotnet 10", "cc gcc-12", "objcopy 2.40", "libz.a 1.2 17-3");
        Assert.Equal("Agent native, Simulator native", root.Build());
        Assert.Equal("", root.Build());

        // A source, a source whose name has a space and a quote, and the program itself.
        root.File("src/Agent/A.cs", "two");
        Assert.Equal("Agent native", root.Build());
        root.File("src/Agent/a 'b.cs", "one");
        Assert.Equal("Agent native", root.Build());
        root.File("src/Agent/a 'b.cs", "two");
        Assert.Equal("Agent native", root.Build());
        root.File("out/keepalive-sim", "");
        Assert.Equal("Simulator native", root.Build());

        // Another version of a library. The version's name alone changes nothing.
        root.Has("dotnet 10", "cc gcc-12", "objcopy 2.40", "libz.a 1.2 18-3");
        Assert.Equal("Agent native, Simulator native", root.Build());
        root.Has("dotnet 10", "cc gcc-12", "objcopy 2.40", "libz.a 18-3 18-3");
        Assert.Equal("", root.Build());

        // A missing source, then changed sources.
        root.Has("dotnet 10", "cc gcc-12", "libz.a 1.2 18-3", "lacks objcopy binutils");
        Assert.Equal("", root.Build());
        Assert.Contains("stays as it was compiled ahead of time", root.Said, StringComparison.Ordinal);
        root.File("src/Agent/A.cs", "three");
        Assert.Equal("Agent framework", root.Build());
        Assert.Contains("needs objcopy at its build (Debian: binutils)", root.Said, StringComparison.Ordinal);
        root.Has("dotnet 10", "cc gcc-12", "objcopy 2.40", "libz.a 1.2 18-3");
        Assert.Equal("Agent native", root.Build());

        // A failed build keeps the existing program and is tried again.
        root.File("src/Agent/A.cs", "four");
        root.File("fails", "");
        Assert.Equal("", root.Build());
        Assert.NotEqual("", File.ReadAllText(Path.Combine(root.Path, "out/keepalive-agent.build")));
        File.Delete(Path.Combine(root.Path, "fails"));
        Assert.Equal("Agent native", root.Build());
    }

    /// <summary>Continuous integration begins to build beside lint, and `make test` builds, too.</summary>
    [Fact]
    public async Task Build_TwoAtOnce_TheSecondFindsWhatTheFirstHasBuilt()
    {
        var root = new SourceTree(_directory.CreateSubdirectory("a tree"));
        root.Has("dotnet 10", "cc gcc-12", "objcopy 2.40", "libz.a 1.2 17-3");
        root.File("slow", "");
        root.File("built", "");

        await Task.WhenAll(new[] { "ahead", "ships" }.Select(mode => Task.Run(() => root.Run(mode), TestContext.Current.CancellationToken)));

        Assert.Equal("Agent native, Simulator native", root.Built);
    }

    /// <summary>What needs the .NET runtime shares its files with other builds: it is not built beside one.</summary>
    [Fact]
    public void BuildAhead_MachineWithoutObjcopy_BuildsNothing()
    {
        var root = new SourceTree(_directory.CreateSubdirectory("a tree"));
        root.Has("dotnet 10", "cc gcc-12", "libz.a 1.2 17-3", "lacks objcopy binutils");

        Assert.Equal("", root.Build("ahead"));
        Assert.Equal("", root.Said);
        Assert.Equal("Agent framework, Simulator framework", root.Build());
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private static string Script(string name) => Path.Combine(Repository.Root, "scripts", name);

    /// <summary>A directory with links to all commands of the machine except these and those that begin with one of them and a
    /// dash.</summary>
    private string ToolsBut(params string[] missing)
    {
        var directory = _directory.CreateSubdirectory(Guid.NewGuid().ToString("N"));
        foreach (var path in Environment.GetEnvironmentVariable("PATH")!.Split(':').Where(Directory.Exists).SelectMany(Directory.EnumerateFiles))
        {
            var name = Path.GetFileName(path);
            var link = Path.Combine(directory.FullName, name);
            if (!missing.Any(tool => name == tool || name.StartsWith(tool + "-", StringComparison.Ordinal)) && !Path.Exists(link))
            {
                File.CreateSymbolicLink(link, path);
            }
        }
        return directory.FullName;
    }

    [GeneratedRegex(@"Name: GLIBC_([0-9.]+)")]
    private static partial Regex SymbolVersion();

    [GeneratedRegex(@"\(NEEDED\) +Shared library: \[(.+)\]")]
    private static partial Regex NeededLibrary();

    /// <summary>A tree with the script that decides what to build, and a stand-in for the compiler that records what it was asked to
    /// build.</summary>
    private sealed class SourceTree
    {
        private readonly DirectoryInfo _root;

        public SourceTree(DirectoryInfo root)
        {
            _root = root;
            foreach (var directory in new[] { "src/Config", "src/Linux", "src/CommandLine", "src/Native", "src/Agent", "src/Simulator", "scripts", "out" })
            {
                _root.CreateSubdirectory(directory);
            }
            foreach (var file in new[] { "src/Programs.props", "Directory.Build.props", "global.json", "scripts/bpf" })
            {
                File(file, "");
            }
            System.IO.File.Copy(Script("build"), System.IO.Path.Combine(Path, "scripts/build"));
            File("scripts/publish", """
                #!/bin/bash
                [[ ! -e fails ]] || exit 1
                [[ ! -e slow ]] || sleep 1
                program=keepalive-${1,,}
                echo "$* $RANDOM" >"out/${program/simulator/sim}"
                echo "$1 $2" >>built
                """);
        }

        public string Path => _root.FullName;

        /// <summary>The output of the last build.</summary>
        public string Said { get; private set; } = "";

        public void File(string name, string content)
        {
            var path = System.IO.Path.Combine(Path, name);
            System.IO.File.WriteAllText(path, content);
            System.IO.File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
        }

        /// <summary>The installed tools, as scripts/toolchain prints them.</summary>
        public void Has(params string[] tools) => File("scripts/toolchain", "#!/bin/sh\n" + string.Concat(
            tools.Select(tool => $"echo '{(tool.StartsWith("lacks ", StringComparison.Ordinal) ? "" : "has ")}{tool}'\n")));

        /// <summary>What was built. Both programs are built at the same time.</summary>
        public string Built => string.Join(", ", System.IO.File.ReadAllLines(System.IO.Path.Combine(Path, "built")).Order(StringComparer.Ordinal));

        /// <summary>Builds; returns what was built.</summary>
        public string Build(string mode = "ships")
        {
            File("built", "");
            var result = Run(mode);
            Said = result.Output + result.Error;
            return Built;
        }

        public CommandResult Run(string mode) => Command.Try(["bash", System.IO.Path.Combine(Path, "scripts/build"), mode]);
    }
}
